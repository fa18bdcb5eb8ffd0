// Fills the examples: what stands between < and > in their variables is worked out here.

export async function exampleTabs() {
  const examples = JSON.parse(document.getElementById("examples").textContent);
  const values = { ...always(), ...(await fromVisitsAtHand()) };
  return examples.map(({ query, variables }) => ({ query, variables: fill(variables, values) }));
}

// Null is no condition and no cursor: the reads run wherever they are.
function always() {
  return {
    "<today>": daysFromNow(0),
    "<in three days>": `${daysFromNow(3)}T10:30:00Z`,
    "<in four days>": `${daysFromNow(4)}T14:00:00Z`,
    "<in four weeks>": daysFromNow(28),
    "<a new key>": newKey(),
    "<its version>": null,
    "<IDs of locations>": null,
    "<end of the first page>": null,
    "<before the last change>": null,
  };
}

// In a demo the other examples run at the first click, too. Elsewhere nothing may cancel a visit that nobody chose.
async function fromVisitsAtHand() {
  if (document.getElementById("explorer").dataset.demo !== "true") return {};

  const data = await read(
    `query VisitsAtHand($today: Date!) {
      homeVisits(filter: { status: [PENDING], startDate: $today }, orderBy: [{ field: DATE_TIME }], first: 3) {
        nodes { id version location { id } careEnquiry { id } }
        pageInfo { endCursor }
      }
      homeVisitEvents(last: 2) { edges { cursor } }
    }`,
    { today: daysFromNow(0) },
  );
  if (!data || data.homeVisits.nodes.length < 3) return {};

  const [first, second, third] = data.homeVisits.nodes;
  return {
    "<IDs of locations>": [first.location.id],
    "<end of the first page>": data.homeVisits.pageInfo.endCursor,
    "<before the last change>": data.homeVisitEvents.edges[0]?.cursor ?? null,
    "<ID of a care enquiry>": first.careEnquiry.id,
    "<ID of a pending visit>": first.id,
    "<its version>": first.version,
    "<ID of another pending visit>": second.id,
    "<ID of a third pending visit>": third.id,
  };
}

async function read(query, variables) {
  try {
    const response = await fetch(location.pathname, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query, variables }),
    });
    return (await response.json()).data;
  } catch {
    return null;
  }
}

function fill(variables, values) {
  const filled = JSON.parse(variables, (_, value) => (value in values ? values[value] : value));
  return JSON.stringify(filled, null, 2);
}

function daysFromNow(days) {
  return new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
}

// `crypto.randomUUID` is missing on plain HTTP from another machine.
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

import { CombinedError } from "@urql/core";
import { play, sleep } from "../story";
import { createClient } from "./client";
import { count } from "./dashboard";
import { findConflicts, findEnquiries, findLocations, findUsers } from "./form";
import { BookVisitDocument, CancelVisitDocument, MoveVisitDocument, VisitsScreenDocument } from "./generated/graphql";
import type { VisitsScreenQuery, VisitsScreenQueryVariables } from "./generated/graphql";
import { describe, say, type Booked, type Changed } from "./say";

const filter = { location: [process.env["LOCATION"] ?? ""], status: ["PENDING" as const], startDate: "2031-05-01" };

let client = createClient();
let page: VisitsScreenQueryVariables = {};

/** The list as the cache has it now. */
function shown() {
  const screen = client.readQuery<VisitsScreenQuery, VisitsScreenQueryVariables>(VisitsScreenDocument, page);
  if (!screen?.data) throw new Error("The list has not arrived.");
  return screen.data.homeVisits;
}

async function load(window: VisitsScreenQueryVariables) {
  page = { filter, ...window };
  const { error } = await client.query(VisitsScreenDocument, page);
  if (error) throw error;
}

await play<Booked, Changed>({
  open(end) {
    client = createClient();
    return load({ [end]: 2 });
  },
  async pageOn() {
    const { hasNextPage, endCursor } = shown().pageInfo;
    if (hasNextPage) await load({ first: 2, after: endCursor });
  },

  async pageBack() {
    const { hasPreviousPage, startCursor } = shown().pageInfo;
    if (hasPreviousPage) await load({ last: 2, before: startCursor });
  },

  rows: () => shown().edges.map(({ node }) => describe(node)),
  beside: {
    async open(filter) {
      const list = client.query(VisitsScreenDocument, { filter, first: 100 });
      list.subscribe(() => {}); // as long as a list is shown it is asked for again
      await list;
    },
    pause: () => sleep(10),
    rows: (filter) =>
      client.readQuery(VisitsScreenDocument, { filter, first: 100 })?.data?.homeVisits.edges.map(({ node }) => describe(node)),
  },
  findEnquiries: (search) => findEnquiries(client, search),
  findLocations: (search) => findLocations(client, search),
  findUsers: (location) => findUsers(client, location),
  findConflicts: (appointment) => findConflicts(client, appointment),
  count: (period, groupBy) => count(client, period, groupBy),

  async book(input) {
    const { data, error } = await client.mutation(BookVisitDocument, { input });
    if (error) throw error;
    return data?.bookHomeVisit ?? null;
  },

  async move(id, dateTime, expectedVersion) {
    const { data, error } = await client.mutation(MoveVisitDocument, { input: { id, dateTime, expectedVersion } });
    if (error) throw error;
    return data?.updateHomeVisit ?? null;
  },

  async cancel(id) {
    const { data, error } = await client.mutation(CancelVisitDocument, { input: { id } });
    if (error) throw error;
    return data?.cancelHomeVisit ?? null;
  },

  say,
  ask: (size) => load({ first: size }),
  explain: (error) => (error instanceof CombinedError ? (error.graphQLErrors[0]?.message ?? "") : String(error)),
});

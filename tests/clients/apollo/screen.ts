import { CombinedGraphQLErrors } from "@apollo/client";
import { play, sleep } from "../story";
import { createClient } from "./client";
import { count } from "./dashboard";
import { findConflicts, findEnquiries, findLocations, findUsers } from "./form";
import { BookVisitDocument, CancelVisitDocument, MoveVisitDocument, VisitsScreenDocument } from "./generated/graphql";
import { follow } from "./lists";
import { describe, say, type Booked, type Changed } from "./say";

const filter = { location: [process.env["LOCATION"] ?? ""], status: ["PENDING" as const], startDate: "2031-05-01" };

const query = VisitsScreenDocument;

let client = createClient();
let list = client.watchQuery({ query, variables: { filter } });

/** The list as the cache has it now. */
function shown() {
  const screen = client.readQuery({ query, variables: { filter } });
  if (!screen) throw new Error("The list has not arrived.");
  return screen.homeVisits;
}

await play<Booked, Changed>({
  async open(end) {
    client = createClient();
    list = client.watchQuery({ query, variables: { filter, [end]: 2 } });
    await list.refetch();
  },

  async pageOn() {
    const { hasNextPage, endCursor } = shown().pageInfo;
    if (hasNextPage) await list.fetchMore({ variables: { after: endCursor } });
  },

  async pageBack() {
    const { hasPreviousPage, startCursor } = shown().pageInfo;
    if (hasPreviousPage) await list.fetchMore({ variables: { before: startCursor } });
  },

  rows: () => shown().edges.map(({ node }) => describe(node)),
  beside: {
    async open(filter) {
      const list = client.watchQuery({ query, variables: { filter, first: 100 } });
      list.subscribe(() => {}); // as long as a list is shown it is asked for again
      await list.refetch();
    },
    pause: () => sleep(10),
    rows: (filter) => client.readQuery({ query, variables: { filter } })?.homeVisits.edges.map(({ node }) => describe(node)),
  },
  findEnquiries: (search) => findEnquiries(client, search),
  findLocations: (search) => findLocations(client, search),
  findUsers: (location) => findUsers(client, location),
  findConflicts: (appointment) => findConflicts(client, appointment),
  count: (period, groupBy) => count(client, period, groupBy),

  async book(input) {
    const { data } = await client.mutate({
      mutation: BookVisitDocument,
      variables: { input },
      update: (cache, { data }) => follow(cache, data?.bookHomeVisit),
    });
    return data?.bookHomeVisit ?? null;
  },

  async move(id, dateTime, expectedVersion) {
    const { data } = await client.mutate({
      mutation: MoveVisitDocument,
      variables: { input: { id, dateTime, expectedVersion } },
      update: (cache, { data }) => follow(cache, data?.updateHomeVisit),
    });
    return data?.updateHomeVisit ?? null;
  },

  async cancel(id) {
    const { data } = await client.mutate({
      mutation: CancelVisitDocument,
      variables: { input: { id } },
      update: (cache, { data }) => follow(cache, data?.cancelHomeVisit),
    });
    return data?.cancelHomeVisit ?? null;
  },

  say,
  ask: (size) => client.query({ query, variables: { filter, first: size }, fetchPolicy: "network-only" }),
  explain: (error) => (CombinedGraphQLErrors.is(error) ? (error.errors[0]?.message ?? "") : String(error)),
});

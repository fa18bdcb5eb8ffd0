import { CombinedGraphQLErrors, type ApolloCache } from "@apollo/client";
import { play } from "../story";
import { createClient } from "./client";
import { count } from "./dashboard";
import { findConflicts, findEnquiries, findLocations, findUsers } from "./form";
import { BookVisitDocument, CancelVisitDocument, MoveVisitDocument, VisitsScreenDocument } from "./generated/graphql";
import type { VisitRowFragment } from "./generated/graphql";
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

/** Adds a new visit to the list, once, without asking for the list again. */
function addRow(cache: ApolloCache, node: VisitRowFragment): void {
  cache.updateQuery({ query, variables: { filter } }, (screen) => {
    if (!screen || screen.homeVisits.edges.some((edge) => edge.node.id === node.id)) return;
    const { edges, totalCount } = screen.homeVisits;
    return { homeVisits: { ...screen.homeVisits, edges: [...edges, { cursor: "", node }], totalCount: totalCount + 1 } };
  });
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

  rows: () => shown().edges.map(({ node }) => describe(node)).sort(),
  keepsUp: true,
  findEnquiries: (search) => findEnquiries(client, search),
  findLocations: (search) => findLocations(client, search),
  findUsers: (location) => findUsers(client, location),
  findConflicts: (appointment) => findConflicts(client, appointment),
  count: (period, groupBy) => count(client, period, groupBy),

  async book(input) {
    const { data } = await client.mutate({
      mutation: BookVisitDocument,
      variables: { input },
      update(cache, { data }) {
        if (data?.bookHomeVisit?.__typename === "BookHomeVisitSuccess") addRow(cache, data.bookHomeVisit.homeVisit);
      },
    });
    return data?.bookHomeVisit ?? null;
  },

  async move(id, dateTime, expectedVersion) {
    const input = { id, dateTime, expectedVersion };
    const { data } = await client.mutate({ mutation: MoveVisitDocument, variables: { input } });
    return data?.updateHomeVisit ?? null;
  },

  async cancel(id) {
    const { data } = await client.mutate({ mutation: CancelVisitDocument, variables: { input: { id } } });
    return data?.cancelHomeVisit ?? null;
  },

  say,
  ask: (size) => client.query({ query, variables: { filter, first: size }, fetchPolicy: "network-only" }),
  explain: (error) => (CombinedGraphQLErrors.is(error) ? (error.errors[0]?.message ?? "") : String(error)),
});

import { changesFilter, filter, isListed, live } from "../live";
import { createClient } from "./client";
import { NewestChangeDocument, VisitChangedDocument, VisitsScreenDocument } from "./generated/graphql";
import type { VisitRowFragment } from "./generated/graphql";
import { describe } from "./say";

const client = createClient();
const list = { query: VisitsScreenDocument, variables: { filter } };
let after: string | null | undefined;

/** Adds a visit to the list, or takes it away: what the cache has of the visit itself is new already. */
function place(node: VisitRowFragment): void {
  client.cache.updateQuery(list, (screen) => {
    if (!screen) return screen;
    const edges = screen.homeVisits.edges.filter((edge) => edge.node.id !== node.id);
    if (isListed(node)) edges.push({ cursor: "", node });
    return { homeVisits: { ...screen.homeVisits, edges } };
  });
}

await live({
  async open() {
    const { data } = await client.query({ query: NewestChangeDocument, fetchPolicy: "network-only" });
    after = data?.homeVisitEvents.pageInfo.endCursor;
    await client.query({ ...list, variables: { filter, first: 100 } });
  },

  follow(onChange) {
    client.subscribe({ query: VisitChangedDocument, variables: { filter: changesFilter, after } }).subscribe({
      next({ data }) {
        if (!data) return;
        place(data.homeVisitChanged.node.homeVisit);
        onChange(data.homeVisitChanged.node.sequence);
      },
      error: console.error,
    });
  },

  rows: () => (client.readQuery(list)?.homeVisits.edges ?? []).map(({ node }) => describe(node)).sort(),
});

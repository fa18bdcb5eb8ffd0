import { changesFilter, filter, live } from "../live";
import { createClient } from "./client";
import { NewestChangeDocument, VisitChangedDocument, VisitsScreenDocument } from "./generated/graphql";
import { follow } from "./lists";
import { describe } from "./say";

const client = createClient();
const list = { query: VisitsScreenDocument, variables: { filter } };
let after: string | null | undefined;

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
        follow(client.cache, data.homeVisitChanged.node);
        onChange(data.homeVisitChanged.node.sequence);
      },
      error: console.error,
    });
  },

  rows: () => (client.readQuery(list)?.homeVisits.edges ?? []).map(({ node }) => describe(node)),
});

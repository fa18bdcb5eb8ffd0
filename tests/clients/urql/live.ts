import { changesFilter, filter, live } from "../live";
import { createClient } from "./client";
import { NewestChangeDocument, VisitChangedDocument, VisitsScreenDocument } from "./generated/graphql";
import { describe } from "./say";

const client = createClient();
const list = { filter, first: 100 };
let after: string | null | undefined;

await live({
  async open() {
    const { data } = await client.query(NewestChangeDocument, {}, { requestPolicy: "network-only" });
    after = data?.homeVisitEvents.pageInfo.endCursor;
    await client.query(VisitsScreenDocument, list);
  },

  follow(onChange) {
    client.subscription(VisitChangedDocument, { filter: changesFilter, after }).subscribe(({ data, error }) => {
      if (error) console.error(error);
      if (data) onChange(data.homeVisitChanged.node.sequence);
    });
  },

  rows() {
    const screen = client.readQuery(VisitsScreenDocument, list)?.data;
    return (screen?.homeVisits.edges ?? []).map(({ node }) => describe(node));
  },
});

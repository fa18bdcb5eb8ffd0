import { changesFilter, filter, live, orderBy } from "../live";
import { belongs } from "../placing";
import { subscribe } from "./follow";
import { execute } from "./gateway";
import { NewestChangeDocument, VisitChangedDocument, VisitsScreenDocument } from "./generated/graphql";
import type { VisitChangedSubscription, VisitRowFragment } from "./generated/graphql";
import { describe } from "./say";

const visits = new Map<string, VisitRowFragment>();
let after: string | null | undefined;

await live({
  async open() {
    after = (await execute(NewestChangeDocument, {})).homeVisitEvents.pageInfo.endCursor;
    const { homeVisits } = await execute(VisitsScreenDocument, { filter, first: 100 });
    for (const { node } of homeVisits.edges) visits.set(node.id, node);
  },

  follow(onChange) {
    const query = VisitChangedDocument.toString();
    subscribe<VisitChangedSubscription>({ query, variables: { filter: changesFilter, after } }, {
      next({ data }) {
        if (!data) return;
        const { sequence, homeVisit } = data.homeVisitChanged.node;
        if (belongs(homeVisit, { filter, orderBy })) visits.set(homeVisit.id, homeVisit);
        else visits.delete(homeVisit.id);
        onChange(sequence);
      },
      error: console.error,
      complete: () => {},
    });
  },

  rows: () => [...visits.values()].map(describe).sort(),
});

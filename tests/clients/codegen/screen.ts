import { play } from "../story";
import { count } from "./dashboard";
import { findConflicts, findEnquiries, findLocations, findUsers } from "./form";
import { execute } from "./gateway";
import { BookVisitDocument, CancelVisitDocument, MoveVisitDocument, VisitsScreenDocument } from "./generated/graphql";
import type { VisitsScreenQuery, VisitsScreenQueryVariables } from "./generated/graphql";
import { describe, say, type Booked, type Changed } from "./say";

const filter = { location: [process.env["LOCATION"] ?? ""], status: ["PENDING" as const], startDate: "2031-05-01" };

type Page = VisitsScreenQuery["homeVisits"];
let pages: Page[] = [];

async function load(window: VisitsScreenQueryVariables): Promise<Page> {
  const { homeVisits } = await execute(VisitsScreenDocument, { filter, ...window });
  return homeVisits;
}

await play<Booked, Changed>({
  async open(end) {
    pages = [await load({ [end]: 2 })];
  },

  async pageOn() {
    const last = pages.at(-1)?.pageInfo;
    if (last?.hasNextPage) pages.push(await load({ first: 2, after: last.endCursor }));
  },

  async pageBack() {
    const first = pages.at(0)?.pageInfo;
    if (first?.hasPreviousPage) pages.unshift(await load({ last: 2, before: first.startCursor }));
  },

  rows: () => pages.flatMap((page) => page.edges.map(({ node }) => describe(node))),
  findEnquiries,
  findLocations,
  findUsers,
  findConflicts,
  count,

  async book(input) {
    const { bookHomeVisit } = await execute(BookVisitDocument, { input });
    return bookHomeVisit;
  },

  async move(id, dateTime, expectedVersion) {
    const { updateHomeVisit } = await execute(MoveVisitDocument, { input: { id, dateTime, expectedVersion } });
    return updateHomeVisit;
  },

  async cancel(id) {
    const { cancelHomeVisit } = await execute(CancelVisitDocument, { input: { id } });
    return cancelHomeVisit;
  },

  say,
  ask: (size) => load({ first: size }),
  explain: (error) => (error instanceof Error ? error.message : String(error)),
});

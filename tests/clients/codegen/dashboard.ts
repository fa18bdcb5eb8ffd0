import type { Period } from "../story";
import { execute } from "./gateway";
import { CountVisitsDocument, type HomeVisitGrouping } from "./generated/graphql";

/** How many visits there are on each day, of each status, or of each status on each day. */
export async function count({ location, ...days }: Period, groupBy: HomeVisitGrouping[]): Promise<string[]> {
  const { homeVisitCounts } = await execute(CountVisitsDocument, { filter: { location: [location], ...days }, groupBy });
  return homeVisitCounts.map(({ day, status, count }) => [day, status, count].filter((part) => part !== null).join(" "));
}

import { fetchQuery, graphql } from "relay-runtime";
import type { IEnvironment } from "relay-runtime";
import type { Period } from "../story";
import type { dashboardCountsQuery, HomeVisitGrouping } from "./__generated__/dashboardCountsQuery.graphql";

/** How many visits there are on each day, of each status, or of each status on each day. */
export async function count(environment: IEnvironment, period: Period, groupBy: HomeVisitGrouping[]): Promise<string[]> {
  const query = graphql`
    query dashboardCountsQuery($filter: HomeVisitFilter, $groupBy: [HomeVisitGrouping!]!) {
      homeVisitCounts(filter: $filter, groupBy: $groupBy) {
        day
        status
        count
      }
    }
  `;
  const { location, ...days } = period;
  const variables = { filter: { location: [location], ...days }, groupBy };
  const found = await fetchQuery<dashboardCountsQuery>(environment, query, variables).toPromise();
  const counts = found?.homeVisitCounts ?? [];
  return counts.map(({ day, status, count }) => [day, status, count].filter((part) => part !== null).join(" "));
}

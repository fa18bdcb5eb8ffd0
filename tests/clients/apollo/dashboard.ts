import type { ApolloClient } from "@apollo/client";
import type { Period } from "../story";
import { CountVisitsDocument, type HomeVisitGrouping } from "./generated/graphql";

/** How many visits there are on each day, of each status, or of each status on each day. */
export async function count(client: ApolloClient, period: Period, groupBy: HomeVisitGrouping[]): Promise<string[]> {
  const { location, ...days } = period;
  const variables = { filter: { location: [location], ...days }, groupBy };
  const { data } = await client.query({ query: CountVisitsDocument, variables, fetchPolicy: "no-cache" });
  const counts = data?.homeVisitCounts ?? [];
  return counts.map(({ day, status, count }) => [day, status, count].filter((part) => part !== null).join(" "));
}

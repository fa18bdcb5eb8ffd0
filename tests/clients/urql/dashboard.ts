import type { Client } from "@urql/core";
import type { Period } from "../story";
import { CountVisitsDocument, type HomeVisitGrouping } from "./generated/graphql";

/** How many visits there are on each day, of each status, or of each status on each day. */
export async function count(client: Client, period: Period, groupBy: HomeVisitGrouping[]): Promise<string[]> {
  const { location, ...days } = period;
  const variables = { filter: { location: [location], ...days }, groupBy };
  const { data, error } = await client.query(CountVisitsDocument, variables, { requestPolicy: "network-only" });
  if (error || !data) throw error;
  return data.homeVisitCounts.map(({ day, status, count }) => [day, status, count].filter((part) => part !== null).join(" "));
}

// What each TypeScript client here does that keeps a list of visits up to date.

import { createInterface } from "node:readline";

const location = process.env["LOCATION"] ?? "";

export const filter = { location: [location], status: ["PENDING" as const], startDate: "2031-05-01" };
export const orderBy = [{ field: "DATE_TIME" as const }];
/** What happens at the same place: what a visit is now decides whether it is listed. */
export const changesFilter = { location: [location] };

/** A list of visits that updates itself. */
export interface LiveList {
  open(): Promise<unknown>;
  /** Calls back with the sequence of each change that came. */
  follow(onChange: (sequence: number) => void): unknown;
  rows(): string[];
}

/** Opens the list and prints what comes; prints its rows for each line of input. */
export async function live(list: LiveList): Promise<void> {
  await list.open();
  list.follow((sequence) => console.log(sequence));
  console.log("open");
  for await (const _ of createInterface(process.stdin)) console.log(JSON.stringify(list.rows()));
  process.exit(); // it would follow for ever
}

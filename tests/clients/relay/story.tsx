import "./document";
import { act, Suspense } from "react";
import { createRoot } from "react-dom/client";
import { RelayEnvironmentProvider } from "react-relay";
import { play, sleep } from "../story";
import type { ListFilter } from "./changes";
import { count } from "./dashboard";
import { createEnvironment, explain } from "./environment";
import { findConflicts, findEnquiries, findLocations, findUsers } from "./form";
import { say, type Booked, type Changed } from "./say";
import { book, cancel, move } from "./visits";
import { ask, VisitsList } from "./VisitsList";

const filter = { location: [process.env["LOCATION"] ?? ""], status: ["PENDING" as const], startDate: "2031-05-01" };
const root = createRoot(document.body);
let environment = createEnvironment();
let beside: ListFilter[] = [];

const section = (filter: ListFilter) => JSON.stringify(filter);

function rows(of: ListFilter = filter): string[] {
  const list = Array.from(document.querySelectorAll("section")).find(({ title }) => title === section(of));
  return Array.from(list?.querySelectorAll("li") ?? [], (row) => row.textContent ?? "");
}

function draw(end: "first" | "last"): void {
  root.render(
    <RelayEnvironmentProvider environment={environment}>
      <Suspense fallback="Loading">
        <section title={section(filter)}>
          <VisitsList key={end} filter={filter} {...{ [end]: 2 }} />
        </section>
      </Suspense>
      {beside.map((other) => (
        <Suspense key={section(other)} fallback="Loading">
          <section title={section(other)}>
            <VisitsList filter={other} first={100} />
          </section>
        </Suspense>
      ))}
    </RelayEnvironmentProvider>,
  );
}

function press(label: string): void {
  const buttons = Array.from(document.querySelectorAll("button"));
  buttons.find((button) => button.textContent === label)?.click();
}

/** Waits until the list has so many rows. */
async function grown(length: number): Promise<void> {
  const end = Date.now() + 5000;
  while (rows().length !== length) {
    if (Date.now() > end) throw new Error(`Not ${length} rows in time: ${document.body.textContent}`);
    await act(() => sleep(10));
  }
}

await play<Booked, Changed>({
  async open(end) {
    environment = createEnvironment();
    await act(async () => draw(end));
    await grown(2);
  },

  async pageOn() {
    await act(async () => press("Later"));
    await grown(4);
  },

  async pageBack() {
    await act(async () => press("Earlier"));
    await grown(4);
  },

  rows,
  beside: {
    async open(other) {
      beside = [...beside, other];
      await act(async () => draw("first"));
      while (document.body.textContent?.includes("Loading")) await act(() => sleep(10));
    },
    rows,
    pause: () => act(() => sleep(10)),
  },
  findEnquiries: (search) => findEnquiries(environment, search),
  findLocations: (search) => findLocations(environment, search),
  findUsers: (location) => findUsers(environment, location),
  findConflicts: (appointment) => findConflicts(environment, appointment),
  count: (period, groupBy) => count(environment, period, groupBy),
  book: (booking) => act(() => book(environment, booking, [filter, ...beside])),
  move: (id, dateTime, expectedVersion) => act(() => move(environment, id, dateTime, expectedVersion, [filter, ...beside])),
  cancel: (id) => act(() => cancel(environment, id, [filter, ...beside])),
  say,
  ask: (size) => ask(environment, { filter, first: size }),
  explain,
});
process.exit(); // the page would wait for its user for ever

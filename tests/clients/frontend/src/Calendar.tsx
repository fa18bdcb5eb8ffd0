import { go, Heading, Link, useAddress } from "./address";
import { Failure, useLiveQuery } from "./changes";
import { Field, Options } from "./forms";
import { graphql } from "./generated";
import type { MonthQuery } from "./generated/graphql";
import { useLocations } from "./locations";
import { words } from "./words";
import { today } from "./zones";

const MONTH = graphql(`
  query Month($filter: HomeVisitFilter!) {
    homeVisitCounts(filter: $filter, groupBy: [DAY, STATUS]) {
      day
      status
      count
    }
  }
`);

const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** A month at a location: how many visits each day has, by the clocks there. */
export function Calendar() {
  const address = useAddress();
  const locations = useLocations();
  const location = locations.find(({ id }) => id === address.get("location")) ?? locations[0]!;
  const { timeZone } = location;
  const now = today(timeZone);
  const month = monthOf(address.get("month")) ?? now.slice(0, 7);
  const days = daysOf(month);
  const { data, error } = useLiveQuery({
    query: MONTH,
    variables: { filter: { location: [location.id], startDate: days[0]!, endDate: days.at(-1)!, timeZone } },
  });
  const to = (month: string) => ({ view: "calendar", location: location.id, month });
  return (
    <>
      <Heading key={month} title="Calendar">
        {named(month)}
      </Heading>
      <div className="filters">
        <Field label="Location" name="location">
          {(control) => (
            <select
              {...control}
              value={location.id}
              onChange={(event) => go({ view: "calendar", month, location: event.target.value })}
            >
              <Options values={locations.map(({ id }) => id)} say={(id) => locations.find((one) => one.id === id)?.name ?? id} />
            </select>
          )}
        </Field>
        <nav aria-label="Months">
          <Link to={to(shifted(month, -1))}>{named(shifted(month, -1))}</Link>
          <Link to={to(shifted(month, 1))}>{named(shifted(month, 1))}</Link>
        </nav>
      </div>
      {error && <Failure error={error} />}
      <table className="month">
        <caption>
          Visits to {location.name} in {named(month)}
        </caption>
        <thead>
          <tr>
            {WEEKDAYS.map((day) => (
              <th key={day} scope="col" abbr={day}>
                {day.slice(0, 3)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {weeksOf(days).map((week, number) => (
            <tr key={number}>
              {week.map((day, place) => (
                <td key={place} aria-current={day === now ? "date" : undefined}>
                  {day && <Day day={day} location={location.id} counts={data?.homeVisitCounts ?? []} />}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Day({ day, location, counts }: { day: string; location: string; counts: MonthQuery["homeVisitCounts"] }) {
  const date = <time dateTime={day}>{Number(day.slice(8))}</time>;
  const ofDay = counts.filter((group) => group.day === day);
  if (ofDay.length === 0) return date;
  return (
    <Link to={{ location, from: day, to: day }}>
      {date}
      {ofDay.map(({ status, count }) => (
        <span key={status} className={`status ${status}`}>
          {count} <span className="word">{words(status ?? "")}</span>
        </span>
      ))}
    </Link>
  );
}

// Months and days of the calendar, which have no time zone: reckoned in UTC, which skips none.

/** What an address holds may be anything. */
function monthOf(text: string | null): string | null {
  return text && /^\d{4}-(0[1-9]|1[0-2])$/.test(text) ? text : null;
}

function daysOf(month: string): string[] {
  const first = new Date(`${month}-01T00:00:00Z`);
  const length = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0)).getUTCDate();
  return Array.from({ length }, (_, day) => `${month}-${String(day + 1).padStart(2, "0")}`);
}

/** Rows from Monday to Sunday. */
function weeksOf(days: string[]): (string | undefined)[][] {
  const empty = (new Date(`${days[0]}T00:00:00Z`).getUTCDay() + 6) % 7;
  return Array.from({ length: Math.ceil((empty + days.length) / 7) }, (_, week) =>
    Array.from({ length: 7 }, (_, place) => days[week * 7 + place - empty]),
  );
}

function shifted(month: string, by: number): string {
  const date = new Date(`${month}-01T00:00:00Z`);
  date.setUTCMonth(date.getUTCMonth() + by);
  return date.toISOString().slice(0, 7);
}

function named(month: string): string {
  return new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" }).format(
    new Date(`${month}-01T00:00:00Z`),
  );
}

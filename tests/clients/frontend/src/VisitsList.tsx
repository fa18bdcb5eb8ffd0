import { go, Heading, Link, useAddress } from "./address";
import { Failure, useLiveQuery } from "./changes";
import { Field, Options } from "./forms";
import { graphql } from "./generated";
import type { HomeVisitFilter, HomeVisitStatus, VisitCardFragment } from "./generated/graphql";
import { useLocations } from "./locations";
import { attendeeOf, fullName, STATUSES, words } from "./words";
import { HERE, spoken, today } from "./zones";

const VISITS = graphql(`
  query Visits($filter: HomeVisitFilter, $first: Int, $after: String, $last: Int, $before: String) {
    homeVisits(filter: $filter, orderBy: [{ field: DATE_TIME }], first: $first, after: $after, last: $last, before: $before) {
      nodes {
        ...VisitCard
      }
      pageInfo {
        hasNextPage
        hasPreviousPage
        startCursor
        endCursor
      }
      totalCount
    }
  }
`);

const SIZE = 20;

/** A page of the visits that the address asks for: those from today on, unless it says from when. */
export function VisitsList() {
  const address = useAddress();
  const { after, before, ...filters } = Object.fromEntries(address);
  const locations = useLocations();
  const chosen = filters["location"] || locations[0]!.id; // whose days the dates are
  const location = locations.find(({ id }) => id === chosen);
  const timeZone = location?.timeZone ?? HERE;
  const window = before ? { last: SIZE, before } : { first: SIZE, after: after ?? null };
  const variables = { filter: filterOf(address, timeZone), ...window };
  const { data, error, stale } = useLiveQuery({ query: VISITS, variables });
  const page = data?.homeVisits;
  return (
    <>
      <Heading key={`${address}`} title="Visits">
        Visits
      </Heading>
      <Filters key={`filters ${address}`} timeZone={timeZone} />
      {error && <Failure error={error} />}
      <p role="status">{page ? counted(page.totalCount) : error ? "" : "Loading…"}</p>
      <ul className="visits" aria-busy={stale}>
        {page?.nodes.map((visit) => (
          <li key={visit.id}>
            <Card visit={visit} />
          </li>
        ))}
      </ul>
      <nav className="pages" aria-label="Pages">
        {page?.pageInfo.hasPreviousPage && <Link to={{ ...filters, before: page.pageInfo.startCursor }}>Earlier visits</Link>}
        {page?.pageInfo.hasNextPage && <Link to={{ ...filters, after: page.pageInfo.endCursor }}>Later visits</Link>}
      </nav>
    </>
  );
}

function Card({ visit }: { visit: VisitCardFragment }) {
  const { id, careEnquiry, dateTime, location, status, visitType, host, assignedTo } = visit;
  return (
    <article>
      <h2>
        <Link to={{ visit: id }}>{fullName(careEnquiry.careSeeker)}</Link>
      </h2>
      <p>
        <time dateTime={dateTime}>{spoken(dateTime, location.timeZone)}</time>
      </p>
      <p>{location.name}</p>
      <p>
        {words(visitType)}, {words(host).toLowerCase()}
        {assignedTo && `, ${fullName(assignedTo)}`}
        {visit.serviceUserContact && `; ${attendeeOf(visit)} attends`}
      </p>
      <p className={`status ${status}`}>{words(status)}</p>
    </article>
  );
}

/** A form whose values are those of the address, and become them. */
function Filters({ timeZone }: { timeZone: string }) {
  const address = useAddress();
  const locations = useLocations();
  const value = (name: string) => address.get(name) ?? "";
  // A location that is not to be seen is offered where the address names it: the list is of no other.
  const choices = [...new Set([...locations.map(({ id }) => id), value("location")])].filter(Boolean);
  return (
    <form
      role="search"
      aria-label="Filter visits"
      className="filters"
      onSubmit={(event) => {
        event.preventDefault();
        go(Object.fromEntries([...new FormData(event.currentTarget)].map(([name, text]) => [name, String(text).trim()])));
      }}
    >
      <Field label="Attendee" name="attendee">
        {(control) => <input {...control} type="search" placeholder="Name, email or phone" defaultValue={value("attendee")} />}
      </Field>
      <Field label="Location" name="location">
        {(control) => (
          <select {...control} defaultValue={value("location")}>
            <option value="">All</option>
            <Options values={choices} say={(id) => locations.find((one) => one.id === id)?.name ?? id} />
          </select>
        )}
      </Field>
      <Field label="Status" name="status">
        {(control) => (
          <select {...control} defaultValue={value("status")}>
            <option value="">All</option>
            <Options values={STATUSES} say={words} />
          </select>
        )}
      </Field>
      <Field label="From" name="from">
        {(control) => <input {...control} type="date" defaultValue={value("from") || today(timeZone)} required />}
      </Field>
      <Field label="To" name="to">
        {(control) => <input {...control} type="date" defaultValue={value("to")} />}
      </Field>
      <button type="submit">Show</button>
    </form>
  );
}

function filterOf(address: URLSearchParams, timeZone: string): HomeVisitFilter {
  const location = address.get("location");
  const status = STATUSES.find((status): status is HomeVisitStatus => status === address.get("status"));
  return {
    timeZone,
    location: location ? [location] : null,
    status: status ? [status] : null,
    startDate: address.get("from") ?? today(timeZone),
    endDate: address.get("to"),
    attendee: address.get("attendee"),
  };
}

function counted(count: number): string {
  return count === 0 ? "No visits" : count === 1 ? "1 visit" : `${count} visits`;
}

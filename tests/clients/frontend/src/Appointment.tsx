import { useQuery } from "urql";
import { Failure } from "./changes";
import { Field, Options, type Values } from "./forms";
import { graphql } from "./generated";
import type { VisitHost } from "./generated/graphql";
import type { Refused } from "./refusals";
import { fullName, HOSTS, words } from "./words";
import { EARLIEST, instantOf } from "./zones";

const USERS = graphql(`
  query Colleagues($location: ID!) {
    users(filter: { location: [$location] }, first: 100) {
      nodes {
        id
        firstName
        lastName
      }
      pageInfo {
        hasNextPage
      }
    }
  }
`);

type Person = { id: string; firstName: string | null; lastName: string | null };

/** When a visit is, and who sees to it: what the forms that book and change one share. */
export function Appointment(props: {
  location: { id: string; timeZone: string };
  initial: Values;
  assigned: Person | null;
  refused: Refused | null;
}) {
  const { location, initial, assigned, refused } = props;
  const [{ data, error }] = useQuery({ query: USERS, variables: { location: location.id } });
  const users = data?.users.nodes ?? [];
  // Who has left, or is of another location, is offered no more, but stays where they are assigned.
  const people: Person[] = assigned && !users.some(({ id }) => id === assigned.id) ? [assigned, ...users] : users;
  // Nor is a host lost that the schema has gained since this page was built.
  const hosts = [...new Set([...HOSTS, initial["host"] ?? ""])];
  const hint = data?.users.pageInfo.hasNextPage ? "The first 100 colleagues by name" : undefined;
  const problem = (name: string) => refused?.fields[name];
  return (
    <>
      <div className="pair">
        <Field label="Date" name="date" problem={problem("dateTime")}>
          {(control) => (
            <input {...control} type="date" min={EARLIEST} max="9999-12-31" required defaultValue={initial["date"]} />
          )}
        </Field>
        <Field label={`Time (${location.timeZone})`} name="time">
          {(control) => <input {...control} type="time" required defaultValue={initial["time"]} />}
        </Field>
      </div>
      <div className="pair">
        <Field label="Host" name="host" problem={problem("host")}>
          {(control) => (
            <select {...control} defaultValue={initial["host"]}>
              <Options values={hosts} say={words} />
            </select>
          )}
        </Field>
        <Field label="Assigned to" name="assignedTo" hint={hint} problem={problem("assignedTo")}>
          {(control) => (
            <select {...control} defaultValue={initial["assignedTo"]}>
              <option value="">As the care enquiry is</option>
              <Options values={people.map(({ id }) => id)} say={(id) => fullName(people.find((one) => one.id === id) ?? null)} />
            </select>
          )}
        </Field>
      </div>
      {error && <Failure error={error} />}
      <Field label="Notes" name="notes" problem={problem("notes")}>
        {(control) => <textarea {...control} rows={3} defaultValue={initial["notes"]} />}
      </Field>
    </>
  );
}

/** What the API takes of what is in the form; `dateTime` is null while there is no such time on that day. */
export function appointmentOf({ date, time, host, assignedTo, notes }: Values, timeZone: string) {
  return {
    dateTime: instantOf(`${date}T${time}`, timeZone),
    host: host as VisitHost,
    assignedTo: assignedTo || null,
    notes: notes ?? "",
  };
}

/** Whom the API assigns a visit to that names nobody: who has its care enquiry. */
export function assigneeOf({ assignedTo }: Values, enquiry: { assignedTo: { id: string } | null } | null): string | null {
  return assignedTo || (enquiry?.assignedTo?.id ?? null);
}

/** Where clocks are set forward, an hour is missing. */
export function noSuchTime(): Refused {
  return {
    message: "Nothing was saved. Correct what is marked, then try again.",
    fields: { dateTime: "The clocks there are set forward past this time on that day. Choose another." },
  };
}

import { useState } from "react";
import { useMutation } from "urql";
import { Appointment, appointmentOf, assigneeOf, noSuchTime } from "./Appointment";
import { Conflicts } from "./Conflicts";
import { Form, type Values } from "./forms";
import { graphql } from "./generated";
import type { VisitCardFragment } from "./generated/graphql";
import { refusedBy, type Refused } from "./refusals";
import { wallTime } from "./zones";

const UPDATE = graphql(`
  mutation UpdateVisit($input: UpdateHomeVisitInput!) {
    updateHomeVisit(input: $input) {
      __typename
      ... on UpdateHomeVisitSuccess {
        homeVisit {
          ...VisitCard
        }
      }
      ... on UserError {
        message
      }
      ... on HomeVisitNotPendingError {
        homeVisit {
          ...VisitCard
        }
      }
      ... on VersionConflictError {
        homeVisit {
          ...VisitCard
        }
      }
      ... on InvalidInputError {
        problems {
          path
          message
        }
      }
    }
  }
`);

/** Changes a visit as it was when the form was filled. If somebody else was faster it says so, and keeps what is typed. */
export function UpdateVisit({ visit, onDone }: { visit: VisitCardFragment; onDone: (message: string) => void }) {
  const [seen, setSeen] = useState(visit);
  const initial = valuesOf(seen);
  const [values, setValues] = useState(initial);
  const [refused, setRefused] = useState<Refused | null>(null);
  const [{ fetching, error }, update] = useMutation(UPDATE);
  const { location } = seen;

  const differs = (values: Values, ...names: string[]) => names.some((name) => values[name] !== initial[name]);

  function beginWith(visit: VisitCardFragment) {
    setSeen(visit);
    setValues(valuesOf(visit));
    setRefused(null);
  }

  async function submit(values: Values) {
    const { dateTime, host, assignedTo, notes } = appointmentOf(values, location.timeZone);
    if (!dateTime) return setRefused(noSuchTime());
    // What is absent stays as it is: a time keeps its seconds, and nobody is sent an email of it.
    const input = {
      id: seen.id,
      expectedVersion: seen.version,
      ...(differs(values, "date", "time") && { dateTime }),
      ...(differs(values, "host") && { host }),
      ...(differs(values, "assignedTo") && { assignedTo }),
      ...(differs(values, "notes") && { notes }),
    };
    const result = (await update({ input })).data?.updateHomeVisit;
    if (result?.__typename !== "UpdateHomeVisitSuccess") return setRefused(result ? refusedBy(result) : null);
    beginWith(result.homeVisit);
    onDone("The changes are saved.");
  }

  const { dateTime, host } = appointmentOf(values, location.timeZone);
  const assignedTo = differs(values, "assignedTo") ? assigneeOf(values, seen.careEnquiry) : (seen.assignedTo?.id ?? null);
  const changed = differs(values, ...Object.keys(initial));
  const conflicts = { location: location.id, host, assignedTo, excluding: seen.id };
  const now = refused?.now ?? (visit.version > seen.version ? visit : null);
  if (now && !changed) beginWith(now); // nothing is lost by it
  const isOver = !(now ?? visit).allowedOperations.includes("UPDATE");
  if (isOver && !changed) return null;
  return (
    <section key={seen.version} aria-label="Change the visit">
      <h2>Change it</h2>
      <Form
        label="Change the visit"
        submit="Save"
        busy={fetching}
        refused={refused}
        error={error}
        onSubmit={submit}
        onChange={setValues}
      >
        <Appointment location={location} initial={initial} assigned={seen.assignedTo} refused={refused} />
        <Conflicts variables={changed && dateTime ? { ...conflicts, dateTime } : null} />
        {now && (
          <div role="status" className="conflicts">
            <p>
              {isOver
                ? "This visit can be changed no more. What is in this form is not saved."
                : "Somebody else has changed this visit meanwhile. What you see above is how it is now."}
            </p>
            <button
              type="button"
              className="quiet"
              onClick={() => {
                beginWith(now);
                onDone(isOver ? "What was in the form is discarded." : "The form has the visit as it is now.");
              }}
            >
              {isOver ? "Discard it" : "Begin again with that"}
            </button>
          </div>
        )}
      </Form>
    </section>
  );
}

function valuesOf({ dateTime, location, host, assignedTo, notes }: VisitCardFragment): Values {
  const [date = "", time = ""] = wallTime(dateTime, location.timeZone).split("T");
  return { date, time, host, assignedTo: assignedTo?.id ?? "", notes };
}

import { useState } from "react";
import { useMutation } from "urql";
import { Appointment, appointmentOf, NO_SUCH_TIME } from "./Appointment";
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

/** Changes a visit as it was when the form was filled: if somebody else was faster, it says so, and begins again with theirs. */
export function UpdateVisit({ visit, onDone }: { visit: VisitCardFragment; onDone: () => void }) {
  const [seen, setSeen] = useState(visit);
  const initial = valuesOf(seen);
  const [values, setValues] = useState(initial);
  const [refused, setRefused] = useState<Refused | null>(null);
  const [{ fetching, error }, update] = useMutation(UPDATE);
  const { location } = seen;

  function beginWith(visit: VisitCardFragment) {
    setSeen(visit);
    setValues(valuesOf(visit));
    setRefused(null);
  }

  async function submit(values: Values) {
    const { dateTime, ...appointment } = appointmentOf(values, location.timeZone);
    if (!dateTime) return setRefused(NO_SUCH_TIME);
    const input = { ...appointment, dateTime, id: seen.id, expectedVersion: seen.version };
    const result = (await update({ input })).data?.updateHomeVisit;
    if (result?.__typename !== "UpdateHomeVisitSuccess") return setRefused(result ? refusedBy(result) : null);
    beginWith(result.homeVisit);
    onDone();
  }

  const { dateTime, host, assignedTo } = appointmentOf(values, location.timeZone);
  const changed = Object.keys(initial).some((name) => values[name] !== initial[name]);
  const conflicts = { location: location.id, host, assignedTo, excluding: seen.id };
  const now = refused?.now;
  return (
    <section key={seen.version} aria-label="Change the visit">
      <h2>Change it</h2>
      <Form label="Change the visit" submit="Save" busy={fetching} refused={refused} error={error} onSubmit={submit} onChange={setValues}>
        <Appointment location={location} initial={initial} assigned={seen.assignedTo} refused={refused} />
        <Conflicts variables={changed && dateTime ? { ...conflicts, dateTime } : null} />
        {now && (
          <button type="button" onClick={() => beginWith(now)}>
            Begin again with the visit as it is now
          </button>
        )}
      </Form>
    </section>
  );
}

function valuesOf({ dateTime, location, host, assignedTo, notes }: VisitCardFragment): Values {
  const [date = "", time = ""] = wallTime(dateTime, location.timeZone).split("T");
  return { date, time, host, assignedTo: assignedTo?.id ?? "", notes };
}

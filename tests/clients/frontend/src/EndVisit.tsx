import { useRef, useState } from "react";
import { useMutation } from "urql";
import { Form, type Values } from "./forms";
import { graphql } from "./generated";
import type { VisitCardFragment } from "./generated/graphql";
import { refusedBy, type Refused } from "./refusals";
import { fullName } from "./words";

const CANCEL = graphql(`
  mutation CancelVisit($input: CancelHomeVisitInput!) {
    cancelHomeVisit(input: $input) {
      __typename
      ... on CancelHomeVisitSuccess {
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
    }
  }
`);

const COMPLETE = graphql(`
  mutation CompleteVisit($input: CompleteHomeVisitInput!) {
    completeHomeVisit(input: $input) {
      __typename
      ... on CompleteHomeVisitSuccess {
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
    }
  }
`);

interface Props {
  visit: VisitCardFragment;
  onDone: () => void;
}

export function CompleteVisit({ visit: { id, version }, onDone }: Props) {
  const [refused, setRefused] = useState<Refused | null>(null);
  const [{ fetching, error }, complete] = useMutation(COMPLETE);

  async function submit() {
    const result = (await complete({ input: { id, expectedVersion: version } })).data?.completeHomeVisit;
    if (result?.__typename === "CompleteHomeVisitSuccess") onDone();
    else setRefused(result ? refusedBy(result) : null);
  }

  return (
    <Form label="Complete the visit" submit="It took place" busy={fetching} refused={refused} error={error} onSubmit={submit}>
      {null}
    </Form>
  );
}

/** Cannot be undone, so it asks first. The dialog is the browser's own: it keeps the focus, and Esc leaves it. */
export function CancelVisit({ visit: { id, version, careEnquiry }, onDone }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [refused, setRefused] = useState<Refused | null>(null);
  const [{ fetching, error }, cancel] = useMutation(CANCEL);
  const { careSeeker } = careEnquiry;

  async function submit({ notify }: Values) {
    const input = { id, expectedVersion: version, notifyCareSeeker: notify === "on" };
    const result = (await cancel({ input })).data?.cancelHomeVisit;
    if (result?.__typename === "CancelHomeVisitSuccess") {
      dialog.current?.close(); // while it is open, nothing else can have the focus
      onDone();
    } else setRefused(result ? refusedBy(result) : null);
  }

  return (
    <>
      <button type="button" className="quiet" onClick={() => dialog.current?.showModal()}>
        Cancel this visit…
      </button>
      <dialog ref={dialog} aria-labelledby="cancel-title">
        <h2 id="cancel-title">Cancel the visit of {fullName(careSeeker)}?</h2>
        <Form
          label="Cancel the visit"
          submit="Cancel the visit"
          busy={fetching}
          refused={refused}
          error={error}
          onSubmit={submit}
        >
          <label className="choice">
            <input type="checkbox" name="notify" defaultChecked={Boolean(careSeeker?.email)} disabled={!careSeeker?.email} />
            <span>Tell {careSeeker?.email ?? "nobody: there is no email address"}</span>
          </label>
        </Form>
        <button type="button" className="quiet" onClick={() => dialog.current?.close()}>
          Keep it
        </button>
      </dialog>
    </>
  );
}

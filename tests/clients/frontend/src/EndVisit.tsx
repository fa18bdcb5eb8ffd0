import { useId, useRef, useState, type ReactNode } from "react";
import { useMutation, type CombinedError } from "urql";
import { Form, type Values } from "./forms";
import { graphql } from "./generated";
import type { CancelVisitMutation, CompleteVisitMutation, VisitCardFragment } from "./generated/graphql";
import { refusedBy, type Refused } from "./refusals";
import { fullName } from "./words";
import { spoken } from "./zones";

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

type Result = CancelVisitMutation["cancelHomeVisit"] | CompleteVisitMutation["completeHomeVisit"];

export function CompleteVisit({ visit: { id, version, dateTime, location, careEnquiry }, onDone }: Props) {
  const [{ fetching, error }, complete] = useMutation(COMPLETE);
  const isToCome = new Date(dateTime) > new Date();

  async function end() {
    return (await complete({ input: { id, expectedVersion: version } })).data?.completeHomeVisit;
  }

  return (
    <EndVisit
      opener="Complete this visit…"
      title={`Did the visit of ${fullName(careEnquiry.careSeeker)} take place?`}
      submit="It took place"
      busy={fetching}
      error={error}
      end={end}
      onDone={onDone}
    >
      <p>
        It {isToCome ? "is yet to come" : "was planned"}: {spoken(dateTime, location.timeZone)}.
      </p>
    </EndVisit>
  );
}

export function CancelVisit({ visit: { id, version, careEnquiry }, onDone }: Props) {
  const [{ fetching, error }, cancel] = useMutation(CANCEL);
  const { careSeeker } = careEnquiry;

  async function end({ notify }: Values) {
    const input = { id, expectedVersion: version, notifyCareSeeker: notify === "on" };
    return (await cancel({ input })).data?.cancelHomeVisit;
  }

  return (
    <EndVisit
      opener="Cancel this visit…"
      title={`Cancel the visit of ${fullName(careSeeker)}?`}
      submit="Cancel the visit"
      busy={fetching}
      error={error}
      end={end}
      onDone={onDone}
    >
      <label className="choice">
        <input type="checkbox" name="notify" defaultChecked={Boolean(careSeeker?.email)} disabled={!careSeeker?.email} />
        <span>Tell {careSeeker?.email ?? "nobody: there is no email address"}</span>
      </label>
    </EndVisit>
  );
}

/** Cannot be undone, so it asks first. The dialog is the browser's own: it keeps the focus, and Esc leaves it. */
function EndVisit(props: {
  opener: string;
  title: string;
  submit: string;
  busy: boolean;
  error: CombinedError | undefined;
  end: (values: Values) => Promise<Result | undefined>;
  onDone: () => void;
  children: ReactNode;
}) {
  const { opener, title, submit, busy, error, end, onDone, children } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [refused, setRefused] = useState<Refused | null>(null);

  async function onSubmit(values: Values) {
    const result = await end(values);
    if (result?.__typename === "CancelHomeVisitSuccess" || result?.__typename === "CompleteHomeVisitSuccess") {
      dialog.current?.close(); // while it is open, nothing else can have the focus
      onDone();
    } else setRefused(result ? refusedBy(result) : null);
  }

  return (
    <>
      <button type="button" className="quiet" onClick={() => dialog.current?.showModal()}>
        {opener}
      </button>
      <dialog ref={dialog} aria-labelledby={id}>
        <h2 id={id}>{title}</h2>
        <Form label={submit} submit={submit} busy={busy} refused={refused} error={error} onSubmit={onSubmit}>
          {children}
        </Form>
        <button type="button" className="quiet" onClick={() => dialog.current?.close()}>
          Keep it pending
        </button>
      </dialog>
    </>
  );
}

import { useEffect, useRef, useState } from "react";
import { Heading, Link } from "./address";
import { Failure, useLiveQuery } from "./changes";
import { CancelVisit, CompleteVisit } from "./EndVisit";
import { graphql } from "./generated";
import type { VisitCardFragment, VisitQuery } from "./generated/graphql";
import { UpdateVisit } from "./UpdateVisit";
import { attendeeOf, fullName, words } from "./words";
import { spoken } from "./zones";

const VISIT = graphql(`
  query Visit($id: ID!) {
    homeVisit(id: $id) {
      ...VisitCard
    }
  }
`);

/** One visit, and what may be done with it. */
export function Visit(props: { id: string; done: string }) {
  const { id } = props;
  const { data, error } = useLiveQuery({ query: VISIT, variables: { id } });
  const [loaded, setLoaded] = useState<VisitQuery>();
  const [done, setDone] = useState({ message: props.done, isOver: false });
  const notice = useRef<HTMLParagraphElement>(null);
  const visit = loaded?.homeVisit;
  // Where it cannot be asked again it stays as it was, and with it what is typed.
  if (data && !error && data !== loaded) {
    setLoaded(data);
    const hasEnded = visit?.status === "PENDING" && data.homeVisit?.status !== "PENDING";
    if (hasEnded && !done.isOver) setDone({ message: "Somebody else has ended this visit.", isOver: true });
  }
  const isShown = Boolean(visit);
  // What was pressed may be gone with what it did.
  useEffect(() => {
    if (done.message) notice.current?.focus();
  }, [done, isShown]);
  if (!loaded) return error ? <Failure error={error} /> : <p role="status">Loading…</p>;
  if (!visit) return <Heading title="No such visit">There is no such visit, or you may not see it.</Heading>;
  const allows = new Set(visit.allowedOperations);
  const end = (message: string) => setDone({ message, isOver: true });
  return (
    <>
      <Heading title={fullName(visit.careEnquiry.careSeeker)}>{fullName(visit.careEnquiry.careSeeker)}</Heading>
      <p ref={notice} role="status" tabIndex={-1} className="notice">
        {done.message}
      </p>
      {error && <Failure error={error} />}
      <Details visit={visit} />
      <UpdateVisit visit={visit} onDone={(message) => setDone({ ...done, message })} />
      <div className="endings">
        {allows.has("COMPLETE") && (
          <CompleteVisit visit={visit} onDone={() => end("The visit is recorded as completed.")} />
        )}
        {allows.has("CANCEL") && <CancelVisit visit={visit} onDone={() => end("The visit is cancelled.")} />}
      </div>
      <p>
        <Link to={{ location: visit.location.id }}>Visits to {visit.location.name}</Link>
      </p>
    </>
  );
}

function Details({ visit }: { visit: VisitCardFragment }) {
  const { dateTime, location, status, visitType, host, assignedTo, notes } = visit;
  const details = {
    When: <time dateTime={dateTime}>{spoken(dateTime, location.timeZone)}</time>,
    Where: location.name,
    Status: <span className={`status ${status}`}>{words(status)}</span>,
    How: words(visitType),
    Host: words(host),
    "Assigned to": assignedTo ? fullName(assignedTo) : "Nobody",
    Attends: attendeeOf(visit),
    Notes: notes || "None",
  };
  return (
    <dl>
      {Object.entries(details).map(([term, detail]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{detail}</dd>
        </div>
      ))}
    </dl>
  );
}

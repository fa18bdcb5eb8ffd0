import { Failure, useLiveQuery } from "./changes";
import { graphql } from "./generated";
import type { FindConflictsQueryVariables } from "./generated/graphql";
import { fullName, words } from "./words";
import { spoken } from "./zones";

const CONFLICTS = graphql(`
  query FindConflicts($location: ID!, $dateTime: DateTime!, $host: VisitHost, $assignedTo: ID, $excluding: ID) {
    homeVisitConflicts(location: $location, dateTime: $dateTime, host: $host, assignedTo: $assignedTo, excluding: $excluding) {
      ...VisitCard
    }
  }
`);

/** Warns, before a visit is booked or moved, of those that it would stand beside. */
export function Conflicts({ variables }: { variables: FindConflictsQueryVariables | null }) {
  const nowhere = { location: "", dateTime: "" };
  const { data, error } = useLiveQuery({ query: CONFLICTS, variables: variables ?? nowhere, pause: !variables });
  const conflicts = variables && data ? data.homeVisitConflicts : [];
  return (
    <>
      {variables && error && <Failure error={error} />}
      <div role="status" className="conflicts">
        {conflicts.length > 0 && (
          <>
            <p>Less than an hour away, with the same host or colleague. It can be booked all the same.</p>
            <ul>
              {conflicts.map(({ id, careEnquiry, dateTime, location, host, assignedTo }) => (
                <li key={id}>
                  {spoken(dateTime, location.timeZone)}: {fullName(careEnquiry.careSeeker)}, {words(host).toLowerCase()}
                  {assignedTo && `, ${fullName(assignedTo)}`}
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </>
  );
}

import { graphql, readInlineData } from "relay-runtime";
import type { describe_visit$key } from "./__generated__/describe_visit.graphql";

/** A visit and the buttons to show beside it. */
export function describe(visit: describe_visit$key): string {
  const { dateTime, careEnquiry, status, allowedOperations } = readInlineData(
    graphql`
      fragment describe_visit on HomeVisit @inline {
        status
        dateTime
        allowedOperations
        location {
          id # what a list is decided by
        }
        careEnquiry {
          careSeeker {
            firstName
          }
        }
      }
    `,
    visit,
  );
  return [dateTime, careEnquiry.careSeeker?.firstName, status, ...allowedOperations].join(" ");
}

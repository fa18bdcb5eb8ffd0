import type { BookVisitMutation, CancelVisitMutation, MoveVisitMutation, VisitRowFragment } from "./generated/graphql";

export type Booked = BookVisitMutation["bookHomeVisit"];
export type Changed = MoveVisitMutation["updateHomeVisit"] | CancelVisitMutation["cancelHomeVisit"];

/** What the screen tells its user. A result that the schema gains and this switch does not handle fails `tsc`. */
export function say(result: Booked | Changed): string {
  switch (result?.__typename) {
    case "BookHomeVisitSuccess":
      return [result.homeVisit, ...result.conflicts].map(describe).join(" Beside: ");
    case "UpdateHomeVisitSuccess":
    case "CancelHomeVisitSuccess":
      return describe(result.homeVisit);
    case "InvalidInputError":
      return result.problems.map((problem) => `${problem.path.join(".")}: ${problem.message}`).join("\n");
    case "HomeVisitNotPendingError":
    case "VersionConflictError":
      return `${result.message} Now: ${describe(result.homeVisit)}`;
    case "HomeVisitNotFoundError":
    case "IdempotencyConflictError":
      return result.message;
    case undefined:
      return "Something went wrong. Please try again.";
    default:
      return unforeseen(result);
  }
}

/** A visit and the buttons to show beside it. */
export function describe(visit: VisitRowFragment): string {
  const { dateTime, careEnquiry, status, allowedOperations } = visit;
  return [dateTime, careEnquiry.careSeeker?.firstName, status, ...allowedOperations].join(" ");
}

/** Not callable while every result is handled; answers for a server that is newer than this client. */
function unforeseen(result: never): string {
  return (result as { message?: string }).message ?? "Done.";
}

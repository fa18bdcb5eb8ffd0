import type { visitsBookMutation$data } from "./__generated__/visitsBookMutation.graphql";
import type { visitsCancelMutation$data } from "./__generated__/visitsCancelMutation.graphql";
import type { visitsMoveMutation$data } from "./__generated__/visitsMoveMutation.graphql";
import { describe } from "./describe";

export type Booked = NonNullable<visitsBookMutation$data["bookHomeVisit"]> | null;
export type Changed = visitsMoveMutation$data["updateHomeVisit"] | visitsCancelMutation$data["cancelHomeVisit"];

/** What the screen tells its user. A result that a document selects and this switch does not handle fails `tsc`. */
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
    case "%other": // Relay's name for a result that the schema gained later
    case undefined:
      return "Something went wrong. Please try again.";
    default:
      return unforeseen(result);
  }
}

/** Not callable while every result is handled. */
function unforeseen(_: never): string {
  return "Something went wrong. Please try again.";
}

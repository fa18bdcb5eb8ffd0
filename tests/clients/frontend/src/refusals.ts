import type {
  BookVisitMutation,
  CancelVisitMutation,
  CompleteVisitMutation,
  UpdateVisitMutation,
  VisitCardFragment,
} from "./generated/graphql";

type Result =
  | BookVisitMutation["bookHomeVisit"]
  | UpdateVisitMutation["updateHomeVisit"]
  | CancelVisitMutation["cancelHomeVisit"]
  | CompleteVisitMutation["completeHomeVisit"];

type Refusal = Exclude<NonNullable<Result>, { __typename: `${string}Success` }>;

/** Why nothing was changed: what is wrong with which field, and the visit as it is now, where that tells. */
export interface Refused {
  message: string;
  fields: Record<string, string>;
  now?: VisitCardFragment;
}

/** What a form shows of a refusal. One that the schema gains and this switch does not handle fails `tsc`. */
export function refusedBy(refusal: Refusal): Refused {
  const { message } = refusal;
  switch (refusal.__typename) {
    case "InvalidInputError":
      return {
        message,
        fields: Object.fromEntries(refusal.problems.map(({ path, message }) => [path.slice(1).join("."), message])),
      };
    case "VersionConflictError":
    case "HomeVisitNotPendingError":
      return { message, fields: {}, now: refusal.homeVisit };
    case "HomeVisitNotFoundError":
      return { message, fields: {} };
    case "IdempotencyConflictError":
      return { message: "What you sent before is booked, though no answer came. Book again for another visit.", fields: {} };
    default:
      return unforeseen(refusal);
  }
}

/** Not callable while every refusal is handled; answers for a server that is newer than this page. */
function unforeseen(refusal: never): Refused {
  return { message: (refusal as { message: string }).message, fields: {} };
}

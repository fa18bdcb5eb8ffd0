import { graphql } from "./generated";
import type { HomeVisitStatus, VisitCardFragment, VisitHost, VisitType } from "./generated/graphql";

export const HOSTS = listOf<VisitHost>({
  MANAGER: true,
  DEPUTY_MANAGER: true,
  ADMINISTRATOR: true,
  RECEPTIONIST: true,
  SENIOR_CARER: true,
  CARER: true,
  CUSTOMER_RELATIONS_ADVISER: true,
  NURSE: true,
  OTHER: true,
});
export const STATUSES = listOf<HomeVisitStatus>({ PENDING: true, CANCELLED: true, COMPLETED: true });
export const VISIT_TYPES = listOf<VisitType>({ IN_PERSON: true, VIRTUAL: true });

/** What a screen shows of a visit, wherever it shows one. */
graphql(`
  fragment VisitCard on HomeVisit {
    id
    version
    status
    dateTime
    visitType
    host
    notes
    allowedOperations
    location {
      id
      name
      timeZone
    }
    careEnquiry {
      id
      careSeeker {
        firstName
        lastName
        email
      }
      assignedTo {
        id
      }
    }
    assignedTo {
      id
      firstName
      lastName
    }
    serviceUserContact {
      id
      firstName
      lastName
    }
  }
`);

/** `DEPUTY_MANAGER` as people read it. */
export function words(value: string): string {
  const lower = value.toLowerCase().replaceAll("_", " ");
  return lower.charAt(0).toUpperCase() + lower.slice(1);
}

export function fullName(person: { firstName: string | null; lastName: string | null } | null): string {
  return [person?.firstName, person?.lastName].filter(Boolean).join(" ") || "Unknown";
}

export function attendeeOf(visit: VisitCardFragment): string {
  return fullName(visit.serviceUserContact ?? visit.careEnquiry.careSeeker);
}

/** All values of an enum. One that the schema gains and the list lacks fails `tsc`. */
function listOf<Value extends string>(values: Record<Value, true>): Value[] {
  return Object.keys(values) as Value[];
}

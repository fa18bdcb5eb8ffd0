import { graphql } from "./generated";
import type { HomeVisitStatus, VisitCardFragment, VisitHost } from "./generated/graphql";

export const HOSTS: VisitHost[] = [
  "MANAGER",
  "DEPUTY_MANAGER",
  "ADMINISTRATOR",
  "RECEPTIONIST",
  "SENIOR_CARER",
  "CARER",
  "CUSTOMER_RELATIONS_ADVISER",
  "NURSE",
  "OTHER",
];
export const STATUSES: HomeVisitStatus[] = ["PENDING", "CANCELLED", "COMPLETED"];

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

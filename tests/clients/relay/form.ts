import { fetchQuery, graphql } from "relay-runtime";
import type { IEnvironment } from "relay-runtime";
import type { Appointment, Choice, EnquiryChoice } from "../story";
import type { formConflictsQuery } from "./__generated__/formConflictsQuery.graphql";
import type { formEnquiriesQuery } from "./__generated__/formEnquiriesQuery.graphql";
import type { formLocationsQuery } from "./__generated__/formLocationsQuery.graphql";
import type { formUsersQuery } from "./__generated__/formUsersQuery.graphql";
import { describe } from "./describe";

/** Whom a visit can be booked for, by a part of the name, email address or telephone number. */
export async function findEnquiries(environment: IEnvironment, search: string): Promise<EnquiryChoice[]> {
  const query = graphql`
    query formEnquiriesQuery($search: String!) {
      careEnquiries(filter: { search: $search }, orderBy: [{ field: NAME }], first: 20) {
        nodes {
          id
          careSeeker {
            firstName
            lastName
          }
          location {
            name
          }
          serviceUserContacts(first: 20) {
            nodes {
              id
              firstName
              lastName
            }
          }
        }
      }
    }
  `;
  const found = await fetchQuery<formEnquiriesQuery>(environment, query, { search }).toPromise();
  return (found?.careEnquiries.nodes ?? []).map(({ id, careSeeker, location, serviceUserContacts }) => ({
    id,
    label: `${fullName(careSeeker)} at ${location?.name ?? "no location"}`,
    contacts: serviceUserContacts.nodes.map((contact) => ({ id: contact.id, label: fullName(contact) })),
  }));
}

export async function findLocations(environment: IEnvironment, search: string): Promise<Choice[]> {
  const query = graphql`
    query formLocationsQuery($search: String!) {
      locations(filter: { search: $search }, first: 20) {
        nodes {
          id
          name
        }
      }
    }
  `;
  const found = await fetchQuery<formLocationsQuery>(environment, query, { search }).toPromise();
  return (found?.locations.nodes ?? []).map(({ id, name }) => ({ id, label: name ?? id }));
}

/** Whom a visit to a location can be assigned to. */
export async function findUsers(environment: IEnvironment, location: string): Promise<Choice[]> {
  const query = graphql`
    query formUsersQuery($location: ID!) {
      users(filter: { location: [$location] }, first: 100) {
        nodes {
          id
          firstName
          lastName
        }
      }
    }
  `;
  const found = await fetchQuery<formUsersQuery>(environment, query, { location }).toPromise();
  return (found?.users.nodes ?? []).map((user) => ({ id: user.id, label: fullName(user) }));
}

/** What to warn of before a visit is booked: it can be booked all the same. */
export async function findConflicts(environment: IEnvironment, appointment: Appointment): Promise<string[]> {
  const query = graphql`
    query formConflictsQuery($location: ID!, $dateTime: DateTime!, $host: VisitHost, $assignedTo: ID) {
      homeVisitConflicts(location: $location, dateTime: $dateTime, host: $host, assignedTo: $assignedTo) {
        ...describe_visit
      }
    }
  `;
  const found = await fetchQuery<formConflictsQuery>(environment, query, appointment).toPromise();
  return (found?.homeVisitConflicts ?? []).map(describe);
}

type Named = { readonly firstName: string | null | undefined; readonly lastName: string | null | undefined };

function fullName(person: Named | null | undefined): string {
  return [person?.firstName, person?.lastName].filter(Boolean).join(" ") || "Unknown";
}

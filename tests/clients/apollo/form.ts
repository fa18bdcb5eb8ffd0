import type { ApolloClient } from "@apollo/client";
import type { Appointment, Choice, EnquiryChoice } from "../story";
import { FindConflictsDocument, FindEnquiriesDocument, FindLocationsDocument, FindUsersDocument } from "./generated/graphql";
import { describe } from "./say";

/** Whom a visit can be booked for, by a part of the name, email address or telephone number. */
export async function findEnquiries(client: ApolloClient, search: string): Promise<EnquiryChoice[]> {
  const { data } = await client.query({ query: FindEnquiriesDocument, variables: { search } });
  return (data?.careEnquiries.nodes ?? []).map(({ id, careSeeker, location, serviceUserContacts }) => ({
    id,
    label: `${fullName(careSeeker)} at ${location?.name ?? "no location"}`,
    contacts: serviceUserContacts.nodes.map((contact) => ({ id: contact.id, label: fullName(contact) })),
  }));
}

export async function findLocations(client: ApolloClient, search: string): Promise<Choice[]> {
  const { data } = await client.query({ query: FindLocationsDocument, variables: { search } });
  return (data?.locations.nodes ?? []).map(({ id, name }) => ({ id, label: name ?? id }));
}

/** Whom a visit to a location can be assigned to. */
export async function findUsers(client: ApolloClient, location: string): Promise<Choice[]> {
  const { data } = await client.query({ query: FindUsersDocument, variables: { location } });
  return (data?.users.nodes ?? []).map((user) => ({ id: user.id, label: fullName(user) }));
}

/** What to warn of before a visit is booked: it can be booked all the same. */
export async function findConflicts(client: ApolloClient, appointment: Appointment): Promise<string[]> {
  const { data } = await client.query({ query: FindConflictsDocument, variables: appointment, fetchPolicy: "no-cache" });
  return (data?.homeVisitConflicts ?? []).map(describe);
}

type Named = { firstName: string | null; lastName: string | null };

function fullName(person: Named | null): string {
  return [person?.firstName, person?.lastName].filter(Boolean).join(" ") || "Unknown";
}

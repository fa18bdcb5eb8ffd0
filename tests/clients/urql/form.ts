import type { Client } from "@urql/core";
import type { Appointment, Choice, EnquiryChoice } from "../story";
import { FindConflictsDocument, FindEnquiriesDocument, FindLocationsDocument, FindUsersDocument } from "./generated/graphql";
import { describe } from "./say";

/** Whom a visit can be booked for, by a part of the name, email address or telephone number. */
export async function findEnquiries(client: Client, search: string): Promise<EnquiryChoice[]> {
  const { data, error } = await client.query(FindEnquiriesDocument, { search });
  if (error || !data) throw error;
  return data.careEnquiries.nodes.map(({ id, careSeeker, location, serviceUserContacts }) => ({
    id,
    label: `${fullName(careSeeker)} at ${location?.name ?? "no location"}`,
    contacts: serviceUserContacts.nodes.map((contact) => ({ id: contact.id, label: fullName(contact) })),
  }));
}

export async function findLocations(client: Client, search: string): Promise<Choice[]> {
  const { data, error } = await client.query(FindLocationsDocument, { search });
  if (error || !data) throw error;
  return data.locations.nodes.map(({ id, name }) => ({ id, label: name ?? id }));
}

/** Whom a visit to a location can be assigned to. */
export async function findUsers(client: Client, location: string): Promise<Choice[]> {
  const { data, error } = await client.query(FindUsersDocument, { location });
  if (error || !data) throw error;
  return data.users.nodes.map((user) => ({ id: user.id, label: fullName(user) }));
}

/** What to warn of before a visit is booked: it can be booked all the same. */
export async function findConflicts(client: Client, appointment: Appointment): Promise<string[]> {
  const { data, error } = await client.query(FindConflictsDocument, { ...appointment }, { requestPolicy: "network-only" });
  if (error || !data) throw error;
  return data.homeVisitConflicts.map(describe);
}

type Named = { firstName: string | null; lastName: string | null };

function fullName(person: Named | null): string {
  return [person?.firstName, person?.lastName].filter(Boolean).join(" ") || "Unknown";
}

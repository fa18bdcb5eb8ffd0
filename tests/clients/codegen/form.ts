import type { Appointment, Choice, EnquiryChoice } from "../story";
import { execute } from "./gateway";
import { FindConflictsDocument, FindEnquiriesDocument, FindLocationsDocument, FindUsersDocument } from "./generated/graphql";
import { describe } from "./say";

/** Whom a visit can be booked for, by a part of the name, email address or telephone number. */
export async function findEnquiries(search: string): Promise<EnquiryChoice[]> {
  const { careEnquiries } = await execute(FindEnquiriesDocument, { search });
  return careEnquiries.nodes.map(({ id, careSeeker, location, serviceUserContacts }) => ({
    id,
    label: `${fullName(careSeeker)} at ${location?.name ?? "no location"}`,
    contacts: serviceUserContacts.nodes.map((contact) => ({ id: contact.id, label: fullName(contact) })),
  }));
}

export async function findLocations(search: string): Promise<Choice[]> {
  const { locations } = await execute(FindLocationsDocument, { search });
  return locations.nodes.map(({ id, name }) => ({ id, label: name ?? id }));
}

/** Whom a visit to a location can be assigned to. */
export async function findUsers(location: string): Promise<Choice[]> {
  const { users } = await execute(FindUsersDocument, { location });
  return users.nodes.map((user) => ({ id: user.id, label: fullName(user) }));
}

/** What to warn of before a visit is booked: it can be booked all the same. */
export async function findConflicts(appointment: Appointment): Promise<string[]> {
  const { homeVisitConflicts } = await execute(FindConflictsDocument, appointment);
  return homeVisitConflicts.map(describe);
}

type Named = { firstName: string | null; lastName: string | null };

function fullName(person: Named | null): string {
  return [person?.firstName, person?.lastName].filter(Boolean).join(" ") || "Unknown";
}

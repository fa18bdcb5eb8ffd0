"""What the booking form looks up, and the figures of the dashboard."""

from typing import NamedTuple, Protocol

from home_visits_client import HomeVisitFilter, HomeVisitGrouping, HomeVisits


class Choice(NamedTuple):
    """What a form offers: the ID to send, and the words to show."""

    id: str
    label: str


class EnquiryChoice(NamedTuple):
    """Whom a visit can be booked for, with those who may attend instead."""

    id: str
    label: str
    contacts: list[Choice]


class Named(Protocol):
    """Who has a name, as far as it is known."""

    first_name: str | None
    last_name: str | None


def find_enquiries(client: HomeVisits, search: str) -> list[EnquiryChoice]:
    """Find whom a visit can be booked for, by a part of the name, email address or telephone number."""
    return [
        EnquiryChoice(
            enquiry.id,
            f"{full_name(enquiry.care_seeker)} at {(enquiry.location and enquiry.location.name) or 'no location'}",
            [Choice(contact.id, full_name(contact)) for contact in enquiry.service_user_contacts.nodes],
        )
        for enquiry in client.find_enquiries(search).care_enquiries.nodes
    ]


def find_locations(client: HomeVisits, search: str) -> list[Choice]:
    """Find locations by a part of the name."""
    return [Choice(location.id, location.name or location.id) for location in client.find_locations(search).locations.nodes]


def find_users(client: HomeVisits, location: str) -> list[Choice]:
    """List whom a visit to a location can be assigned to."""
    return [Choice(user.id, full_name(user)) for user in client.find_users(location).users.nodes]


def full_name(person: Named | None) -> str:
    """Name somebody in words."""
    return (person and " ".join(filter(None, [person.first_name, person.last_name]))) or "Unknown"


def count(client: HomeVisits, visits: HomeVisitFilter, *group_by: HomeVisitGrouping) -> list[str]:
    """Count the visits of each day, of each status, or of each status on each day."""
    counts = client.count_visits(list(group_by), visits).home_visit_counts
    rows = [(str(row.day) if row.day else None, row.status, str(row.count)) for row in counts]
    return [" ".join(filter(None, row)) for row in rows]

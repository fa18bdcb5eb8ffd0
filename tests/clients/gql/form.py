"""What the booking form looks up, and the figures of the dashboard."""

from datetime import datetime
from typing import Any

from gateway import operation
from gql.client import AsyncClientSession
from say import describe


async def find_enquiries(session: AsyncClientSession, search: str) -> list[dict[str, Any]]:
    """Find whom a visit can be booked for, by a part of the name, email address or telephone number."""
    answer = await session.execute(operation("FindEnquiries", search=search))
    enquiries: list[dict[str, Any]] = answer["careEnquiries"]["nodes"]
    return enquiries


async def find_locations(session: AsyncClientSession, search: str) -> list[dict[str, Any]]:
    """Find locations by a part of the name."""
    locations: list[dict[str, Any]] = (await session.execute(operation("FindLocations", search=search)))["locations"]["nodes"]
    return locations


async def find_users(session: AsyncClientSession, location: str) -> list[dict[str, Any]]:
    """List whom a visit to a location can be assigned to."""
    users: list[dict[str, Any]] = (await session.execute(operation("FindUsers", location=location)))["users"]["nodes"]
    return users


async def find_conflicts(session: AsyncClientSession, location: str, booking: dict[str, Any], at: datetime) -> list[str]:
    """Describe the visits that a booking would stand beside at that time."""
    appointment = {"location": location, "dateTime": at, "host": booking["host"], "assignedTo": booking["assignedTo"]}
    answer = await session.execute(operation("FindConflicts", **appointment))
    return [describe(visit) for visit in answer["homeVisitConflicts"]]


async def count(session: AsyncClientSession, month: dict[str, Any], *group_by: str) -> list[str]:
    """Count the visits of each day, of each status, or of each status on each day."""
    answer = await session.execute(operation("CountVisits", filter=month, groupBy=list(group_by)))
    rows = [(row["day"], row["status"], row["count"]) for row in answer["homeVisitCounts"]]
    return [" ".join(str(part) for part in row if part is not None) for row in rows]


def label(enquiry: dict[str, Any]) -> str:
    """Name an enquiry with its location and contacts."""
    place = (enquiry["location"] or {}).get("name") or "no location"
    contacts = enquiry["serviceUserContacts"]["nodes"]
    return ", ".join([f"{full_name(enquiry['careSeeker'])} at {place}", *map(full_name, contacts)])


def full_name(person: dict[str, Any] | None) -> str:
    """Name somebody in words."""
    person = person or {}
    return " ".join(filter(None, [person.get("firstName"), person.get("lastName")])) or "Unknown"

"""A small visits screen over gql; prints what was seen, as JSON."""

import asyncio
import json
import os
import uuid
from datetime import UTC, datetime
from typing import Any

from form import count, find_conflicts, find_enquiries, find_locations, find_users, full_name, label
from gateway import connect, operation
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportQueryError
from say import describe, say

NOWHERE = "0" * 24
FILTER = {"location": [os.environ["LOCATION"]], "status": ["PENDING"], "startDate": "2031-05-01"}
MONTH = {
    "location": [os.environ["LOCATION"]],
    "startDate": "2031-05-01",
    "endDate": "2031-05-31",
    "timeZone": "Europe/London",
}
AT = datetime(2031, 5, 7, 9, tzinfo=UTC)
TAKEN = datetime(2031, 5, 4, 9, 30, tzinfo=UTC)


async def main() -> None:
    """Play a day at the screen."""
    async with connect() as session:
        pages = await turn_pages(session)
        form, booking = await fill_in(session)
        messages = await change_visits(session, booking)
        dashboard = {
            "by day": await count(session, MONTH, "DAY"),
            "by status": await count(session, MONTH, "STATUS"),
            "by day and status": await count(session, MONTH, "DAY", "STATUS"),
        }
        print(json.dumps({"list": pages, "form": form, "messages": messages, "dashboard": dashboard, "kept": None}))


async def turn_pages(session: AsyncClientSession) -> dict[str, list[str]]:
    """Show the list from both ends."""

    async def load(**window: Any) -> dict[str, Any]:
        answer = await session.execute(operation("VisitsScreen", filter=FILTER, **window))
        page: dict[str, Any] = answer["homeVisits"]
        return page

    end = await load(last=2)
    before = await load(last=2, before=end["pageInfo"]["startCursor"])
    start = await load(first=2)
    after = await load(first=2, after=start["pageInfo"]["endCursor"])
    return {
        "opened at the end": rows(end),
        "paged back": rows(before, end),
        "opened": rows(start),
        "paged on": rows(start, after),
    }


def rows(*pages: dict[str, Any]) -> list[str]:
    """Describe every visit of some pages."""
    return [describe(edge["node"]) for page in pages for edge in page["edges"]]


async def fill_in(session: AsyncClientSession) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Look up whom to book for, where, and by whom; return what was offered, and the booking."""
    enquiries = await find_enquiries(session, "agnes you")
    locations = await find_locations(session, "willow")
    location = locations[0]["id"]
    users = await find_users(session, location)
    booking = {
        "careEnquiry": enquiries[0]["id"],
        "dateTime": AT,
        "host": "MANAGER",
        "visitType": "IN_PERSON",
        "assignedTo": users[-1]["id"],
        "serviceUserContact": enquiries[0]["serviceUserContacts"]["nodes"][0]["id"],
        "idempotencyKey": str(uuid.uuid4()),  # made with the form, so that sending the form again books nothing again
    }
    offered = {
        "for": [label(enquiry) for enquiry in enquiries],
        "at": [location["name"] for location in locations],
        "assigned to": [full_name(user) for user in users],
        "beside": await find_conflicts(session, location, booking, TAKEN),
        "beside, at another time": await find_conflicts(session, location, booking, AT),
    }
    return offered, booking


async def change_visits(session: AsyncClientSession, form: dict[str, Any]) -> dict[str, str]:
    """Book, move and cancel a visit, and be refused what cannot be done."""

    async def book(**changed: Any) -> dict[str, Any] | None:
        result: dict[str, Any] | None = (await session.execute(operation("BookVisit", input=form | changed)))["bookHomeVisit"]
        return result

    async def move(day: int) -> str:
        move = {"id": id, "dateTime": datetime(2031, 5, day, 9, tzinfo=UTC), "expectedVersion": version}
        return say((await session.execute(operation("MoveVisit", input=move)))["updateHomeVisit"])

    async def cancel(visit: str) -> str:
        return say((await session.execute(operation("CancelVisit", input={"id": visit})))["cancelHomeVisit"])

    booked = await book()
    if booked is None or "homeVisit" not in booked:
        raise SystemExit(say(booked))
    id, version = booked["homeVisit"]["id"], booked["homeVisit"]["version"]
    return {
        "booked": say(booked),
        "booked again": say(await book()),
        "another visit with the same key": say(await book(visitType="VIRTUAL")),
        "booked for nobody": say(await book(careEnquiry=NOWHERE, idempotencyKey=None)),
        "moved": await move(day=8),
        "moved by one who had not seen that": await move(day=9),
        "cancelled": await cancel(id),
        "cancelled again": await cancel(id),
        "cancelled nothing": await cancel(NOWHERE),
        "booked beside another": say(await book(dateTime=TAKEN, idempotencyKey=None)),
        "asked for too many": await ask(session, 101),
        "asked for more than an Int holds": await ask(session, 2**31),
    }


async def ask(session: AsyncClientSession, size: int) -> str:
    """Ask for a first page of so many visits, and return what the gateway says when it refuses the request as a whole."""
    try:
        # Left to itself, gql holds the variables against the schema before it sends them.
        await session.execute(operation("VisitsScreen", filter=FILTER, first=size), serialize_variables=False)
    except TransportQueryError as refusal:
        return str((refusal.errors or [{}])[0]["message"])
    return "It was answered."


if __name__ == "__main__":
    asyncio.run(main())

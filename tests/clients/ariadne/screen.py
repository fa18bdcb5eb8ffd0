"""A small visits screen over the client that ariadne-codegen generates; prints what was seen, as JSON."""

import json
import os
import uuid
from datetime import UTC, date, datetime

from home_visits_client import (
    BookHomeVisitInput,
    CancelHomeVisitInput,
    GraphQLClientGraphQLMultiError,
    HomeVisitFilter,
    HomeVisits,
    HomeVisitStatus,
    UpdateHomeVisitInput,
    VisitHost,
    VisitsScreenHomeVisits,
    VisitType,
)
from say import describe, say

NOWHERE = "0" * 24
FILTER = HomeVisitFilter(location=[os.environ["LOCATION"]], status=[HomeVisitStatus.PENDING], start_date=date(2031, 5, 1))
FORM = BookHomeVisitInput(
    care_enquiry=os.environ["CARE_ENQUIRY"],
    date_time=datetime(2031, 5, 7, 9, tzinfo=UTC),
    host=VisitHost.MANAGER,
    visit_type=VisitType.IN_PERSON,
    idempotency_key=str(uuid.uuid4()),  # made with the form, so that sending the form again books nothing again
)


def main() -> None:
    """Play a day at the screen."""
    token = os.environ.get("HOME_VISITS_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with HomeVisits(os.environ["HOME_VISITS_URL"], headers) as client:
        print(json.dumps({"list": turn_pages(client), "messages": change_visits(client), "kept": None}))


def turn_pages(client: HomeVisits) -> dict[str, list[str]]:
    """Show the list from both ends."""
    end = client.visits_screen(FILTER, last=2).home_visits
    before = client.visits_screen(FILTER, last=2, before=end.page_info.start_cursor).home_visits
    start = client.visits_screen(FILTER, first=2).home_visits
    after = client.visits_screen(FILTER, first=2, after=start.page_info.end_cursor).home_visits
    return {
        "opened at the end": rows(end),
        "paged back": rows(before, end),
        "opened": rows(start),
        "paged on": rows(start, after),
    }


def rows(*pages: VisitsScreenHomeVisits) -> list[str]:
    """Describe every visit of some pages."""
    return [describe(edge.node) for page in pages for edge in page.edges]


def change_visits(client: HomeVisits) -> dict[str, str]:
    """Book, move and cancel a visit, and be refused what cannot be done."""
    booking = client.book_visit(FORM)
    again = client.book_visit(FORM)
    other = client.book_visit(FORM.model_copy(update={"visit_type": VisitType.VIRTUAL}))
    nobody = client.book_visit(FORM.model_copy(update={"care_enquiry": NOWHERE, "idempotency_key": None}))
    booked = booking.book_home_visit
    if booked is None or booked.typename__ != "BookHomeVisitSuccess":
        raise SystemExit(say(booking))
    visit = booked.home_visit

    move = UpdateHomeVisitInput(id=visit.id, date_time=datetime(2031, 5, 8, 9, tzinfo=UTC), expected_version=visit.version)
    stale = move.model_copy(update={"date_time": datetime(2031, 5, 9, 9, tzinfo=UTC)})
    cancellation = CancelHomeVisitInput(id=visit.id)
    return {
        "booked": say(booking),
        "booked again": say(again),
        "another visit with the same key": say(other),
        "booked for nobody": say(nobody),
        "moved": say(client.move_visit(move)),
        "moved by one who had not seen that": say(client.move_visit(stale)),
        "cancelled": say(client.cancel_visit(cancellation)),
        "cancelled again": say(client.cancel_visit(cancellation)),
        "cancelled nothing": say(client.cancel_visit(CancelHomeVisitInput(id=NOWHERE))),
        "asked for too many": ask(client, 101),
        "asked for more than an Int holds": ask(client, 2**31),
    }


def ask(client: HomeVisits, size: int) -> str:
    """Ask for a first page of so many visits, and return what the gateway says when it refuses the request as a whole."""
    try:
        client.visits_screen(FILTER, first=size)
    except GraphQLClientGraphQLMultiError as refusal:
        return refusal.errors[0].message
    return "It was answered."


if __name__ == "__main__":
    main()

"""A small visits screen over the client that ariadne-codegen generates; prints what was seen, as JSON."""

import json
import os
import uuid
from datetime import UTC, date, datetime

from form import count, find_enquiries, find_locations, find_users
from home_visits_client import (
    BookHomeVisitInput,
    CancelHomeVisitInput,
    GraphQLClientGraphQLMultiError,
    HomeVisitFilter,
    HomeVisitGrouping,
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
AT = datetime(2031, 5, 7, 9, tzinfo=UTC)
TAKEN = datetime(2031, 5, 4, 9, 30, tzinfo=UTC)


def main() -> None:
    """Play a day at the screen."""
    token = os.environ.get("HOME_VISITS_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with HomeVisits(os.environ.get("HOME_VISITS_URL", "http://127.0.0.1:8080/graphql"), headers) as client:
        pages = turn_pages(client)
        form, booking = fill_in(client)
        messages = change_visits(client, booking)
        print(json.dumps({"list": pages, "form": form, "messages": messages, "dashboard": dashboard(client), "kept": None}))


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


def fill_in(client: HomeVisits) -> tuple[dict[str, list[str]], BookHomeVisitInput]:
    """Look up whom to book for, where, and by whom; return what was offered, and the booking."""
    enquiries = find_enquiries(client, "agnes you")
    locations = find_locations(client, "willow")
    users = find_users(client, locations[0].id)
    booking = BookHomeVisitInput(
        care_enquiry=enquiries[0].id,
        date_time=AT,
        host=VisitHost.MANAGER,
        visit_type=VisitType.IN_PERSON,
        assigned_to=users[-1].id,
        service_user_contact=enquiries[0].contacts[0].id,
        idempotency_key=str(uuid.uuid4()),  # made with the form, so that sending the form again books nothing again
    )

    def beside(at: datetime) -> list[str]:
        conflicts = client.find_conflicts(locations[0].id, at, booking.host, booking.assigned_to).home_visit_conflicts
        return [describe(visit) for visit in conflicts]

    offered = {
        "for": [", ".join([one.label, *(contact.label for contact in one.contacts)]) for one in enquiries],
        "at": [location.label for location in locations],
        "assigned to": [user.label for user in users],
        "beside": beside(TAKEN),
        "beside, at another time": beside(AT),
    }
    return offered, booking


def dashboard(client: HomeVisits) -> dict[str, list[str]]:
    """Count the visits of a month."""
    location = os.environ["LOCATION"]
    month = HomeVisitFilter(
        location=[location], start_date=date(2031, 5, 1), end_date=date(2031, 5, 31), time_zone="Europe/London"
    )
    return {
        "by day": count(client, month, HomeVisitGrouping.DAY),
        "by status": count(client, month, HomeVisitGrouping.STATUS),
        "by day and status": count(client, month, HomeVisitGrouping.DAY, HomeVisitGrouping.STATUS),
    }


def change_visits(client: HomeVisits, form: BookHomeVisitInput) -> dict[str, str]:
    """Book, move and cancel a visit, and be refused what cannot be done."""
    booking = client.book_visit(form)
    again = client.book_visit(form)
    other = client.book_visit(form.model_copy(update={"visit_type": VisitType.VIRTUAL}))
    nobody = client.book_visit(form.model_copy(update={"care_enquiry": NOWHERE, "idempotency_key": None}))
    beside = form.model_copy(update={"date_time": TAKEN, "idempotency_key": None})
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
        "booked beside another": say(client.book_visit(beside)),
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

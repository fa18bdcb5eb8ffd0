"""Records for tests of what is made from them: one visit of one family to one care home, and what a test changes about them."""

from typing import Any

from storage.models import CareEnquiry, ConfirmationStatus, HomeVisit, Location, VisitHost, VisitType
from storage.outbox.addresses import Sender
from storage.outbox.letter import Letterhead
from storage.outbox.messages import OutboxMessage
from tests.storage.homes import NOW, VISIT_TIME

SECRET = "Mother has fallen twice"  # noqa: S105 - what must not be told, but no password

LETTERHEAD = Letterhead(Sender("Our Homes", "visits@homes.example"))


def message(**changes: Any) -> OutboxMessage:
    values = {"id": "6716c9a8000000000000000d", "home_visit": "6716c9a8000000000000000c", "sequence": 0}
    times = {"date_time": VISIT_TIME, "created": NOW, "due": NOW, "give_up": VISIT_TIME}
    return OutboxMessage(**{"status": ConfirmationStatus.QUEUED, **values, **times, **changes})


def visit(**changes: Any) -> HomeVisit:
    values = {
        "id": "6716c9a8000000000000000c",
        "care_enquiry": "6716c9a8000000000000000b",
        "location": "6716c9a8000000000000000a",
    }
    kinds = {"visit_type": VisitType.IN_PERSON, "host": VisitHost.NURSE, "notes": SECRET, "notes_folded": SECRET.casefold()}
    return HomeVisit(**{**values, **kinds, "date_time": VISIT_TIME, "created": NOW, "modified": NOW, **changes})


def enquiry(**changes: Any) -> CareEnquiry:
    names = {"first_name": "Ada", "last_name": "Reid", "email": "ada@family.example", "phone": "+44 1632 960100"}
    return CareEnquiry(**{"id": "6716c9a8000000000000000b", "location": "6716c9a8000000000000000a", **names, **changes})


def location(**changes: Any) -> Location:
    contacts = {"name": "Willow Court", "email": "willow.court@homes.example", "phone": "+44 1632 960001"}
    return Location(**{"id": "6716c9a8000000000000000a", "time_zone": "Europe/London", **contacts, **changes})


def stub_location() -> Location:
    """Return one of which only the ID is known."""
    return location(name=None, email=None, phone=None, time_zone=None)

"""The invitation, read back by a real parser."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from storage.models import VisitType
from storage.outbox.addresses import Sender
from storage.outbox.invite import invitation
from storage.outbox.wording import plain
from tests.storage.homes import NOW, VISIT_TIME
from tests.storage.outbox.records import SECRET, location, message, stub_location, visit

SENDER = Sender("Our Homes", "visits@homes.example")


def test_the_invitation_is_what_calendars_expect() -> None:
    written = invitation(message(sequence=2), visit(), location(), SENDER, "ada@family.example")

    assert written.decode().split("\r\n") == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Home visits//Confirmation//EN",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        "SUMMARY:Visit to Willow Court",
        "DTSTART:20241103T110000Z",
        "DTEND:20241103T120000Z",
        "DTSTAMP:20241020T093000Z",
        "UID:home-visit-6716c9a8000000000000000c",
        "SEQUENCE:2",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION;ROLE=REQ-PARTICIPANT;RSVP=FALSE:mailto:ada@",
        " family.example",
        "DESCRIPTION:To change or cancel the visit\\, phone Willow Court on +44 1632",
        "  960001 or write to willow.court@homes.example.",
        "LOCATION:Willow Court",
        'ORGANIZER;CN="Willow Court":mailto:visits@homes.example',
        "STATUS:CONFIRMED",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]


def test_a_move_keeps_the_entry_and_its_organizer_with_a_higher_number_and_the_new_time() -> None:
    later = VISIT_TIME + timedelta(days=2)

    first = invitation(message(sequence=0), visit(), location(), SENDER, "ada@family.example")
    second = invitation(message(sequence=3, date_time=later), visit(date_time=later), location(), SENDER, "ada@family.example")

    [booked], [moved] = Calendar.from_ical(first).events, Calendar.from_ical(second).events
    assert moved["UID"] == booked["UID"] == "home-visit-6716c9a8000000000000000c"
    assert moved["ORGANIZER"] == booked["ORGANIZER"] == "mailto:visits@homes.example"
    assert (booked["SEQUENCE"], moved["SEQUENCE"]) == (0, 3)
    assert (booked.start, moved.start) == (datetime(2024, 11, 3, 11, tzinfo=UTC), datetime(2024, 11, 5, 11, tzinfo=UTC))


@pytest.mark.parametrize(("visit_type", "place"), [(VisitType.IN_PERSON, "The care home"), (VisitType.VIRTUAL, "Video call")])
def test_a_care_home_of_which_nothing_is_known_still_reads_well(visit_type: VisitType, place: str) -> None:
    written = invitation(message(), visit(visit_type=visit_type), stub_location(), SENDER, "ada@family.example")

    [event] = Calendar.from_ical(written).events
    assert event["SUMMARY"] == "Visit to the care home"
    assert event["LOCATION"] == place
    assert event["DESCRIPTION"] == "To change or cancel the visit, please get in touch with the care home."
    assert event["ORGANIZER"].params["CN"] == "Our Homes"


def test_the_invitation_never_tells_the_notes() -> None:
    written = invitation(message(), visit(), location(), SENDER, "ada@family.example")

    assert SECRET not in written.decode().replace("\r\n ", "")


@settings(deadline=None)
@example(name="\\N\\n", phone="\\N")
@given(name=st.text(max_size=120), phone=st.text(max_size=120))
def test_names_of_any_kind_stay_what_they_are(name: str, phone: str) -> None:
    home = location(name=name, phone=phone)

    written = invitation(message(), visit(), home, SENDER, "ada@family.example")

    calendar = Calendar.from_ical(written)
    [event] = calendar.events
    assert calendar["METHOD"] == "REQUEST"
    assert event["SUMMARY"] == f"Visit to {plain(name) or 'the care home'}"
    assert [attendee.email for attendee in event.attendees] == ["ada@family.example"]
    assert event["ORGANIZER"].email == "visits@homes.example"
    assert (event.start, event.end, event.stamp) == (VISIT_TIME, VISIT_TIME + timedelta(hours=1), NOW)
    assert max(len(line) for line in written.split(b"\r\n")) <= 75


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("a?cc=e@x.test", "mailto:a%3Fcc%3De@x.test"),
        ("a&b#c@x.test", "mailto:a%26b%23c@x.test"),
        ("o'neil+visits@x.test", "mailto:o'neil+visits@x.test"),
    ],
)
def test_an_address_is_one_recipient_whatever_characters_it_has(address: str, url: str) -> None:
    written = invitation(message(), visit(), location(), SENDER, address)

    [entry] = Calendar.from_ical(written).events
    assert entry["ATTENDEE"] == url

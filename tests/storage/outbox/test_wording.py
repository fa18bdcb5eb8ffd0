"""What families read."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.models import VisitType
from storage.outbox.wording import Wording, letter_wording, moment, plain, rearranging
from tests.storage.homes import VISIT_TIME
from tests.storage.outbox.records import enquiry, location, message, stub_location, visit

LONDON = ZoneInfo("Europe/London")


def test_a_booking_is_told_with_all_a_family_needs() -> None:
    wording = letter_wording(message(), visit(), enquiry(), location(), LONDON)

    assert wording == Wording(
        subject="Your visit to Willow Court on Sunday 3 November at 11:00",
        greeting="Dear Ada Reid,",
        opening="Your visit to Willow Court is booked.",
        facts=[
            ("When", "Sunday 3 November 2024 at 11:00 (GMT, Europe/London)"),
            ("How", "In person, at Willow Court"),
            ("Phone", "+44 1632 960001"),
        ],
        paragraphs=[
            "To change or cancel the visit, phone Willow Court on +44 1632 960001 or write to willow.court@homes.example.",
            "The invitation in this email puts the visit in your calendar.",
        ],
        closing=("Kind regards", "Willow Court"),
    )


def test_a_move_is_told_with_the_new_and_the_old_time() -> None:
    moved = message(previous=VISIT_TIME - timedelta(days=14))

    wording = letter_wording(moved, visit(), enquiry(), location(), LONDON)

    assert wording.subject == "New time for your visit to Willow Court: Sunday 3 November at 11:00"
    assert wording.opening == "Your visit to Willow Court has moved to another time."
    assert wording.facts == [
        ("New time", "Sunday 3 November 2024 at 11:00 (GMT, Europe/London)"),
        ("Old time", "Sunday 20 October 2024 at 12:00 (BST, Europe/London)"),
        ("How", "In person, at Willow Court"),
        ("Phone", "+44 1632 960001"),
    ]
    assert wording.paragraphs[1] == "The invitation in this email moves the visit in your calendar."


def test_a_virtual_visit_is_a_video_call() -> None:
    wording = letter_wording(message(), visit(visit_type=VisitType.VIRTUAL), enquiry(), location(), LONDON)

    assert wording.facts[1] == ("How", "By video call")


def test_a_care_home_of_which_nothing_is_known_still_reads_well() -> None:
    wording = letter_wording(message(), visit(), enquiry(), stub_location(), LONDON)

    assert wording == Wording(
        subject="Your visit to the care home on Sunday 3 November at 11:00",
        greeting="Dear Ada Reid,",
        opening="Your visit to the care home is booked.",
        facts=[
            ("When", "Sunday 3 November 2024 at 11:00 (GMT, Europe/London)"),
            ("How", "In person, at the care home"),
        ],
        paragraphs=[
            "To change or cancel the visit, please get in touch with the care home.",
            "The invitation in this email puts the visit in your calendar.",
        ],
        closing=("Kind regards", "The care home"),
    )


@pytest.mark.parametrize(
    ("first_name", "last_name", "greeting"),
    [
        ("Ada", "Reid", "Dear Ada Reid,"),
        ("Ada", None, "Dear Ada,"),
        (None, "Reid", "Dear Reid,"),
        (None, None, "Hello,"),
        ("", " ", "Hello,"),
        ("Zoë\r\nBcc: evil@other.example", "Ó Briain", "Dear Zoë Bcc: evil@other.example Ó Briain,"),
        ("Ada", "Reid\u2028\u2029\x00\x1b[31m\u202e", "Dear Ada Reid [31m,"),
        ("क्\u200dष", None, "Dear क्\u200dष,"),
        ("A" * 200, None, f"Dear {'A' * 99}…,"),
    ],
)
def test_a_name_is_written_on_one_line(first_name: str | None, last_name: str | None, greeting: str) -> None:
    wording = letter_wording(message(), visit(), enquiry(first_name=first_name, last_name=last_name), location(), LONDON)

    assert wording.greeting == greeting


@pytest.mark.parametrize(
    ("phone", "email", "sentence"),
    [
        ("01632 960001", "w@homes.example", "phone Willow Court on 01632 960001 or write to w@homes.example."),
        ("01632 960001", None, "phone Willow Court on 01632 960001."),
        ("01632 960001", "no address", "phone Willow Court on 01632 960001."),
        (None, "w@homes.example", "write to Willow Court at w@homes.example."),
        ("  ", "", "please get in touch with Willow Court."),
    ],
)
def test_how_to_rearrange_uses_what_is_known(phone: str | None, email: str | None, sentence: str) -> None:
    wording = rearranging(location(phone=phone, email=email))

    assert wording == f"To change or cancel the visit, {sentence}"


@pytest.mark.parametrize(
    ("instant", "zone", "expected"),
    [
        (datetime(2024, 7, 1, 8, 5, tzinfo=UTC), "Europe/London", "Monday 1 July 2024 at 09:05 (BST, Europe/London)"),
        (datetime(2024, 10, 27, 0, 30, tzinfo=UTC), "Europe/London", "Sunday 27 October 2024 at 01:30 (BST, Europe/London)"),
        (datetime(2024, 10, 27, 1, 30, tzinfo=UTC), "Europe/London", "Sunday 27 October 2024 at 01:30 (GMT, Europe/London)"),
        (datetime(2024, 12, 31, 23, 0, tzinfo=UTC), "Asia/Dubai", "Wednesday 1 January 2025 at 03:00 (UTC+04, Asia/Dubai)"),
        (datetime(2024, 12, 31, 23, 0, tzinfo=UTC), "UTC", "Tuesday 31 December 2024 at 23:00 (UTC)"),
        (datetime(9999, 12, 31, 23, 0, tzinfo=UTC), "Asia/Tokyo", "Friday 31 December 9999 at 23:00 (UTC)"),
    ],
)
def test_a_time_names_its_zone_and_says_which_hour_when_clocks_go_back(instant: datetime, zone: str, expected: str) -> None:
    assert moment(instant, ZoneInfo(zone)) == expected


@settings(deadline=None)
@given(st.text(max_size=300))
def test_plain_text_is_one_printable_line_that_fits(text: str) -> None:
    line = plain(text)

    assert len(line) <= 100
    assert line == line.strip()
    assert line.replace("\u200c", "").replace("\u200d", "").isprintable()
    assert line.splitlines() in ([], [line])
    assert plain(line) == line

"""What families read."""

import unicodedata
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.models import VisitType
from storage.outbox.wording import Wording, letter_wording, moment, plain, rearranging
from tests.storage.homes import VISIT_TIME
from tests.storage.outbox.records import enquiry, location, message, stub_location, visit

JOINERS, TAGS = "\u200c\u200d", "".join(map(chr, range(0xE0020, 0xE0080)))
LONDON = ZoneInfo("Europe/London")
PERSIAN = "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc"
# A black flag, and tags.
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


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
        ("A\xadda\u200b", "R\u2060ei\u2064d\ufeff", "Dear Ada Reid,"),
        ("\u202aAda\u202c", "Re\u200f\u061cid\u180e", "Dear Ada Reid,"),
        ("A\xa0da", "Re\u3000id\x85\x7f", "Dear A da Re id,"),
        (PERSIAN, "ত্\u200d", f"Dear {PERSIAN} ত্\u200d,"),
        ("👩\u200d👩\u200d👧", "❤\ufe0f", "Dear 👩\u200d👩\u200d👧 ❤\ufe0f,"),
        ("Mac", SCOTLAND, f"Dear Mac {SCOTLAND},"),
        ("👍🏽", "\U0001fae8", "Dear 👍🏽 \U0001fae8,"),
        ("A\U000e0041\U000e007fda", "\u200d Reid \u200c", "Dear Ada Reid,"),
        ("\ufeff\u200d", "\u200b", "Hello,"),
        ("A" * 98, "👩\u200d👧", f"Dear {'A' * 98}…,"),
        ("A" * 97 + "👩\u200d👧 Reid", None, f"Dear {'A' * 97}…,"),
        ("A" * 98 + SCOTLAND, None, f"Dear {'A' * 98}…,"),
        ("A" * 98 + "e\u0301" + "A", None, f"Dear {'A' * 98}…,"),
        ("e" + "\u0301" * 200, None, f"Dear e{chr(0x301) * 98}…,"),
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
@given(
    st.text(max_size=300)
    | st.text(alphabet="ab é\\N\xad\u200b\u200c\u200d\u202e\u0301👩🏽\ufe0f🏴\U000e0067\U000e007f\x00\n", max_size=120)
)
def test_plain_text_is_one_line_that_fits_and_shows_all_that_it_holds(text: str) -> None:
    line = plain(text)

    assert len(line) <= 100
    assert line == line.strip()
    assert {unicodedata.category(letter) for letter in line} & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert [letter for letter in line if unicodedata.category(letter) == "Cf" and letter not in f"{JOINERS}{TAGS}"] == []
    assert line.splitlines() in ([], [line])
    assert "\\N" not in line
    assert plain(line) == line

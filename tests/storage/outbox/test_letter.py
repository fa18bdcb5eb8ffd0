"""The whole email."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from storage.models import VisitType
from storage.outbox.addresses import Sender
from storage.outbox.letter import Letterhead, compose
from storage.outbox.wording import plain
from tests.storage.homes import VISIT_TIME
from tests.storage.outbox.records import LETTERHEAD, SECRET, enquiry, location, message, stub_location, visit

BOOKING = """\
From: Our Homes <visits@homes.example>
To: ada@family.example
Reply-To: willow.court@homes.example
Subject: Your visit to Willow Court on Sunday 3 November at 11:00
Date: Sun, 20 Oct 2024 09:30:00 +0000
Message-ID: <6716c9a8000000000000000d@homes.example>
Auto-Submitted: auto-generated
X-Auto-Response-Suppress: All
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_6716c9a8000000000000000d_mixed"

--=_6716c9a8000000000000000d_mixed
Content-Type: multipart/alternative;
 boundary="=_6716c9a8000000000000000d_alternative"

--=_6716c9a8000000000000000d_alternative
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 7bit

Dear Ada Reid,

Your visit to Willow Court is booked.

When: Sunday 3 November 2024 at 11:00 (GMT, Europe/London)
How: In person, at Willow Court
Phone: +44 1632 960001

To change or cancel the visit, phone Willow Court on +44 1632 960001 or
write to willow.court@homes.example.

The invitation in this email puts the visit in your calendar.

Kind regards,
Willow Court

--=_6716c9a8000000000000000d_alternative
"""

PAGE = """\
<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>New time for your visit to Willow Court: Sunday 3 November at 11:00</title>
</head>
<body style="font: 16px/1.5 sans-serif; max-width: 36em; margin: 1em auto; padding: 0 1em">
<p>Dear Ada Reid,</p>
<p>Your visit to Willow Court has moved to another time.</p>
<table style="border-spacing: 0 .25em">
<tr><th scope="row" style="text-align: left; vertical-align: top; padding-right: 1em">New time</th>\
<td>Sunday 3 November 2024 at 11:00 (GMT, Europe/London)</td></tr>
<tr><th scope="row" style="text-align: left; vertical-align: top; padding-right: 1em">Old time</th>\
<td>Friday 1 November 2024 at 11:00 (GMT, Europe/London)</td></tr>
<tr><th scope="row" style="text-align: left; vertical-align: top; padding-right: 1em">How</th>\
<td>By video call</td></tr>
<tr><th scope="row" style="text-align: left; vertical-align: top; padding-right: 1em">Phone</th>\
<td>+44 1632 960001</td></tr>
</table>
<p>To change or cancel the visit, phone Willow Court on +44 1632 960001 or write to willow.court@homes.example.</p>
<p>The invitation in this email moves the visit in your calendar.</p>
<p>Kind regards,<br>Willow Court</p>
</body>
</html>
"""


def received(letter: EmailMessage) -> EmailMessage:
    parsed = message_from_bytes(letter.as_bytes(), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_the_email_of_a_booking() -> None:
    letter = compose(message(), visit(), enquiry(), location(), LETTERHEAD)

    written = letter.as_bytes().decode()
    assert written.replace("\r\n", "\n").startswith(BOOKING)
    assert written.count("\n") == written.count("\r\n")


def test_the_parts_of_an_email() -> None:
    letter = received(compose(message(), visit(), enquiry(), location(), LETTERHEAD))

    parts = [(part.get_content_type(), part.get_content_disposition()) for part in letter.walk()]
    assert parts == [
        ("multipart/mixed", None),
        ("multipart/alternative", None),
        ("text/plain", None),
        ("text/html", None),
        ("text/calendar", None),
        ("application/ics", "attachment"),
    ]


def test_the_email_of_a_move_as_a_page() -> None:
    moved = message(previous=VISIT_TIME - timedelta(days=2))

    letter = received(compose(moved, visit(visit_type=VisitType.VIRTUAL), enquiry(), location(), LETTERHEAD))

    assert letter.get_body(("html",)).get_content().splitlines() == PAGE.splitlines()


def test_the_invitation_comes_as_a_request_and_as_a_file() -> None:
    letter = received(compose(message(sequence=3), visit(), enquiry(), location(), LETTERHEAD))

    request = next(part for part in letter.walk() if part.get_content_type() == "text/calendar")
    [file] = letter.iter_attachments()
    calendar = Calendar.from_ical(file.get_content())
    assert request.get_param("method") == calendar["METHOD"] == "REQUEST"
    assert request["Content-Type"].params["charset"] == "utf-8"
    assert file.get_filename() == "visit.ics"
    assert request.get_content().encode() == file.get_content()
    assert [event["SEQUENCE"] for event in calendar.events] == [3]


def test_a_letter_sent_twice_is_the_same() -> None:
    first = compose(message(attempts=1), visit(), enquiry(), location(), LETTERHEAD)
    second = compose(message(attempts=2), visit(), enquiry(), location(), LETTERHEAD)

    assert first.as_bytes() == second.as_bytes()


def test_a_letter_never_tells_the_notes() -> None:
    letter = received(compose(message(), visit(), enquiry(), location(), LETTERHEAD))

    texts = [part.get_content() for part in letter.walk() if not part.is_multipart()]
    assert len(texts) == 4
    assert not [text for text in texts if SECRET in (text if isinstance(text, str) else text.decode())]


def test_a_care_home_without_an_address_is_not_replied_to() -> None:
    letter = compose(message(), visit(), enquiry(), stub_location(), LETTERHEAD)

    assert letter["Reply-To"] is None
    assert letter["Subject"] == "Your visit to the care home on Sunday 3 November at 11:00"


@pytest.mark.parametrize("zone", [None, "", "Mars/Olympus", "../../etc/passwd", "Europe", "/etc/localtime"])
def test_a_care_home_without_a_known_zone_is_in_the_default_one(zone: str | None) -> None:
    letter = compose(message(), visit(), enquiry(), location(time_zone=zone), Letterhead(LETTERHEAD.sender, "America/New_York"))

    text = letter.get_body(("plain",)).get_content()
    assert "When: Sunday 3 November 2024 at 06:00 (EST, America/New_York)\n" in text


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("instant", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)], ids=str)
def test_the_first_and_the_last_time_there_is_are_confirmed_like_any_other(instant: datetime, zone: str) -> None:
    moved = message(date_time=instant, previous=instant)

    letter = received(compose(moved, visit(date_time=instant), enquiry(), location(time_zone=zone), LETTERHEAD))

    [file] = letter.iter_attachments()
    [event] = Calendar.from_ical(file.get_content()).events
    assert event.start == instant
    assert f"{instant.day} {instant:%B} {instant.year} at " in letter.get_body(("plain",)).get_content()


def test_markup_in_a_name_is_text() -> None:
    page = compose(message(), visit(), enquiry(first_name="<b>Ada</b>"), location(name='"Elm" & <Oak>'), LETTERHEAD)

    html = page.get_body(("html",)).get_content()
    assert "<p>Dear &lt;b&gt;Ada&lt;/b&gt; Reid,</p>" in html
    assert "<title>Your visit to &quot;Elm&quot; &amp; &lt;Oak&gt; on Sunday" in html
    assert "<Oak>" not in html


def test_an_address_that_is_a_list_gets_no_letter() -> None:
    with pytest.raises(ValueError, match="no usable email address"):
        compose(message(), visit(), enquiry(email="ada@family.example, evil@other.example"), location(), LETTERHEAD)


@settings(deadline=None)
@given(
    first_name=st.none() | st.text(max_size=200),
    last_name=st.none() | st.text(max_size=200),
    home=st.none() | st.text(max_size=200) | st.text(alphabet='ab é",<>@;:\r\n\u2028=?_', max_size=200),
    phone=st.none() | st.text(max_size=50),
)
def test_whatever_the_names_the_letter_has_one_recipient_and_no_header_of_theirs(
    first_name: str | None, last_name: str | None, home: str | None, phone: str | None
) -> None:
    family, place = enquiry(first_name=first_name, last_name=last_name), location(name=home, phone=phone)

    composed = compose(message(), visit(), family, place, LETTERHEAD)
    letter = received(composed)

    recipients = [(name, address) for field in ("To", "Cc", "Bcc") for name, address in getaddresses(letter.get_all(field, []))]
    assert recipients == [("", "ada@family.example")]
    assert getaddresses(letter.get_all("From")) == [("Our Homes", "visits@homes.example")]
    assert letter.keys() == [
        "From",
        "To",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "MIME-Version",
        "Content-Type",
    ]
    assert letter["Subject"] == composed["Subject"]
    assert composed.as_bytes().isascii()
    assert max(len(line) for line in composed.as_bytes().split(b"\r\n")) <= 78


WORDS = [
    "Résidence",
    "São",
    "José",
    "\u2013",
    "of",
    "the",
    "日本",
    "👩\u200d👩\u200d👧",
    "=?utf-8?q?x?=",
    "?=",
    "(Ö)",
    "x" * 90,
    "é" * 20,
]


@settings(deadline=None)
@example("Résidence São José \u2013 São João")
@example("x" * 90)
@given(st.lists(st.sampled_from(WORDS) | st.text(), min_size=1, max_size=12).map(" ".join))
def test_a_subject_is_read_as_it_was_written_by_old_and_new_readers(name: str) -> None:
    composed = compose(message(), visit(), enquiry(), location(name=name), LETTERHEAD)

    raw = message_from_bytes(composed.as_bytes())["Subject"]
    by_an_old_reader = str(make_header(decode_header(raw.replace("\n ", " ").replace("\r", ""))))
    expected = f"Your visit to {plain(name) or 'the care home'} on Sunday 3 November at 11:00"
    assert (composed["Subject"], received(composed)["Subject"], by_an_old_reader) == (expected,) * 3
    assert max(len(line) for line in composed.as_bytes().split(b"\r\n")) <= 78


def test_a_sender_with_an_accent_is_written_for_every_mail_server() -> None:
    letter = compose(message(), visit(), enquiry(), location(), Letterhead(Sender("Maison Élysée", "visits@homes.example")))

    assert b"From: Maison =?utf-8?q?=C3=89lys=C3=A9e?= <visits@homes.example>\r\n" in letter.as_bytes()

"""The letter: from records to an email, the same bytes each time, so that a copy sent twice is recognized."""

import textwrap
from collections.abc import Iterable
from email.headerregistry import Address
from email.message import EmailMessage
from html import escape
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from storage.models import CareEnquiry, HomeVisit, Location
from storage.outbox.addresses import Sender, usable_address
from storage.outbox.headers import POLICY
from storage.outbox.invite import invitation
from storage.outbox.messages import OutboxMessage
from storage.outbox.wording import Wording, letter_wording

PAGE = """\
<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{subject}</title>
</head>
<body style="font: 16px/1.5 sans-serif; max-width: 36em; margin: 1em auto; padding: 0 1em">
<p>{greeting}</p>
<p>{opening}</p>
<table style="border-spacing: 0 .25em">
{facts}
</table>
{paragraphs}
<p>{closing},<br>{signature}</p>
</body>
</html>
"""
FACT = '<tr><th scope="row" style="text-align: left; vertical-align: top; padding-right: 1em">{}</th><td>{}</td></tr>'


class Letterhead(NamedTuple):
    """Whom letters come from. `time_zone` is that of locations which name none."""

    sender: Sender
    time_zone: str = "Europe/London"


def compose(
    message: OutboxMessage, visit: HomeVisit, enquiry: CareEnquiry, location: Location, letterhead: Letterhead
) -> EmailMessage:
    """Write the email to the care seeker; raise ValueError where the enquiry has no usable address."""
    recipient = usable_address(enquiry.email)
    if recipient is None:
        raise ValueError("the care seeker has no usable email address")
    wording = letter_wording(message, visit, enquiry, location, _zone(location, letterhead))
    calendar = invitation(message, visit, location, letterhead.sender, recipient)
    letter = EmailMessage(POLICY)
    for name, value in _headers(message, location, letterhead.sender, recipient, wording.subject):
        letter[name] = value
    letter.set_content(_text(wording))
    letter.add_alternative(_html(wording), subtype="html")
    letter.add_alternative(calendar.decode(), subtype="calendar", params={"method": message.method.value})
    letter.set_boundary(f"=_{message.id}_alternative")
    # Calendars read the part above; where a mail program does not, this is what can be opened.
    letter.add_attachment(calendar, maintype="application", subtype="ics", filename="visit.ics")
    letter.set_boundary(f"=_{message.id}_mixed")
    return letter


def _zone(location: Location, letterhead: Letterhead) -> ZoneInfo:
    try:
        return ZoneInfo(location.time_zone or letterhead.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(letterhead.time_zone)


def _headers(
    message: OutboxMessage, location: Location, sender: Sender, recipient: str, subject: str
) -> Iterable[tuple[str, str | Address]]:
    yield "From", Address(sender.name, addr_spec=sender.address)
    # No name beside the address: it could be taken for a second recipient.
    yield "To", recipient
    if reply_to := usable_address(location.email):
        yield "Reply-To", reply_to
    yield "Subject", subject
    yield "Date", f"{message.created:%a, %d %b %Y %H:%M:%S +0000}"
    yield "Message-ID", f"<{message.id}@{sender.address.rpartition('@')[2]}>"
    # Replies of absent readers help nobody: the first keeps most from it, the second those on Exchange.
    yield "Auto-Submitted", "auto-generated"
    yield "X-Auto-Response-Suppress", "All"


def _text(wording: Wording) -> str:
    facts = "\n".join(f"{label}: {value}" for label, value in wording.facts)
    parts = [wording.greeting, wording.opening, facts, *map(_filled, wording.paragraphs), ",\n".join(wording.closing)]
    return "\n\n".join(parts) + "\n"


def _filled(paragraph: str) -> str:
    return textwrap.fill(paragraph, 76, break_long_words=False, break_on_hyphens=False)


def _html(wording: Wording) -> str:
    closing, signature = map(escape, wording.closing)
    return PAGE.format(
        subject=escape(wording.subject),
        greeting=escape(wording.greeting),
        opening=escape(wording.opening),
        facts="\n".join(FACT.format(escape(label), escape(value)) for label, value in wording.facts),
        paragraphs="\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in wording.paragraphs),
        closing=closing,
        signature=signature,
    )

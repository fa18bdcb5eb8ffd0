"""What families read: every sentence of the confirmation email and of its invitation."""

from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from storage.models import CareEnquiry, HomeVisit, Location, VisitType
from storage.outbox.addresses import usable_address
from storage.outbox.characters import fitted, visible
from storage.outbox.messages import CalendarMethod, OutboxMessage

NAMELESS_HOME = "the care home"
VISIT_TYPES = {VisitType.IN_PERSON: "In person, at {home}", VisitType.VIRTUAL: "By video call"}


class Wording(NamedTuple):
    """The sentences of one letter. `facts` are labels and values, to be set out as a table."""

    subject: str
    greeting: str
    opening: str
    facts: list[tuple[str, str]]
    paragraphs: list[str]
    closing: tuple[str, str]


def letter_wording(message: OutboxMessage, visit: HomeVisit, enquiry: CareEnquiry, location: Location, zone: ZoneInfo) -> Wording:
    """Word the email that confirms a booking, a move where the message has a previous time, or a cancellation."""
    home = home_name(location)
    local, when = _local(message.date_time, zone), moment(message.date_time, zone)
    # The year would make the line too long for the screen of a phone.
    time = f"{local:%A} {local.day} {local:%B at %H:%M}"
    facts = [("When", when)]
    subject, opening = f"Your visit to {home} on {time}", f"Your visit to {home} is booked."
    calendar = "The invitation in this email puts the visit in your calendar."
    if message.method is CalendarMethod.CANCEL:
        subject, opening = f"Your visit to {home} on {time} is cancelled", f"Your visit to {home} is cancelled."
        calendar = "The invitation in this email takes the visit out of your calendar."
    elif message.previous is not None:
        facts = [("New time", when), ("Old time", moment(message.previous, zone))]
        subject, opening = f"New time for your visit to {home}: {time}", f"Your visit to {home} has moved to another time."
        calendar = "The invitation in this email moves the visit in your calendar."
    facts.append(("How", VISIT_TYPES[visit.visit_type].format(home=home)))
    if phone := plain(location.phone):
        facts.append(("Phone", phone))
    paragraphs = [rearranging(location, message.method), calendar]
    return Wording(subject, _greeting(enquiry), opening, facts, paragraphs, ("Kind regards", _capital(home)))


def invitation_title(location: Location) -> str:
    return f"Visit to {home_name(location)}"


def invitation_place(visit: HomeVisit, location: Location) -> str:
    return "Video call" if visit.visit_type is VisitType.VIRTUAL else _capital(home_name(location))


def rearranging(location: Location, method: CalendarMethod = CalendarMethod.REQUEST) -> str:
    """Say how to reach the care home, by what is stored of it."""
    home, phone, email = home_name(location), plain(location.phone), usable_address(location.email)
    aim = "To arrange another visit" if method is CalendarMethod.CANCEL else "To change or cancel the visit"
    if phone and email:
        return f"{aim}, phone {home} on {phone} or write to {email}."
    if phone:
        return f"{aim}, phone {home} on {phone}."
    if email:
        return f"{aim}, write to {home} at {email}."
    return f"{aim}, please get in touch with {home}."


def home_name(location: Location) -> str:
    return plain(location.name) or NAMELESS_HOME


def moment(instant: datetime, zone: ZoneInfo) -> str:
    """Write `Sunday 3 November 2024 at 11:00 (GMT, Europe/London)`: the hour alone is ambiguous when clocks go back."""
    local = _local(instant, zone)
    offset = local.tzname() or ""
    names = [f"UTC{offset}" if offset[:1] in {"+", "-"} else offset, str(local.tzinfo)]
    return f"{local:%A} {local.day} {local:%B %Y at %H:%M} ({', '.join(dict.fromkeys(names))})"


def read_alike(one: datetime, other: datetime) -> bool:
    """Tell whether letters write two times alike: to the minute, in whatever zone."""
    return one.replace(second=0, microsecond=0) == other.replace(second=0, microsecond=0)


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    try:
        return instant.astimezone(zone)
    except OverflowError:  # local time is before the year 1 or after the year 9999
        return instant.astimezone(UTC)


def plain(text: str | None) -> str:
    """Return what fits on one line of an email, and in an invitation."""
    # icalendar takes a backslash before an N for a line break.
    return fitted(visible(text or "").replace("\\N", "\\ N"))


def _greeting(enquiry: CareEnquiry) -> str:
    name = plain(f"{enquiry.first_name or ''} {enquiry.last_name or ''}")
    return f"Dear {name}," if name else "Hello,"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

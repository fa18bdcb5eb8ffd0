"""The invitation: a visit as calendars take it in, and move it when another one comes."""

from datetime import datetime, timedelta
from urllib.parse import quote

from icalendar import STATUS, Calendar, Event, vCalAddress

from storage.models import HomeVisit, Location
from storage.outbox import wording
from storage.outbox.addresses import Sender
from storage.outbox.messages import CalendarMethod, OutboxMessage

VISIT_LASTS = timedelta(hours=1)
PRODUCT = "-//Home visits//Confirmation//EN"


def invitation(message: OutboxMessage, visit: HomeVisit, location: Location, organizer: Sender, attendee: str) -> bytes:
    """Write the visit as iCalendar.

    The UID is that of the visit and the sequence grows with each message: both are what moves the entry. The organizer
    is the sender of all letters, because calendars ignore a change that comes from anybody else. Times are UTC, which
    every calendar shows in the zone of its reader.
    """
    host = vCalAddress(_mailto(organizer.address))
    host.params["CN"] = wording.home_name(location) if location.name else organizer.name
    guest = vCalAddress(_mailto(attendee))
    guest.params.update({"ROLE": "REQ-PARTICIPANT", "PARTSTAT": "NEEDS-ACTION", "RSVP": "FALSE"})
    event = Event.new(
        uid=f"home-visit-{visit.id}",
        sequence=message.sequence,
        stamp=message.created,
        start=message.date_time,
        end=_end(message.date_time),
        summary=wording.invitation_title(location),
        location=wording.invitation_place(visit, location),
        description=wording.rearranging(location, message.method),
        organizer=host,
        attendees=[guest],
        status=STATUS.CANCELLED if message.method is CalendarMethod.CANCEL else STATUS.CONFIRMED,
    )
    # Not Calendar.new: it makes up an ID, and a copy sent twice must be the same.
    calendar = Calendar()
    for name, value in (("prodid", PRODUCT), ("version", "2.0"), ("method", message.method.value)):
        calendar.add(name, value)
    calendar.add_component(event)
    return bytes(calendar.to_ical())


def _mailto(address: str) -> str:
    """Write an address as a URL (RFC 6068): after a `?` in one, a calendar would read further recipients."""
    return "mailto:" + quote(address, safe="@!$'*+-._~")


def _end(start: datetime) -> datetime | None:
    try:
        return start + VISIT_LASTS
    except OverflowError:  # in the last hour of the year 9999; an entry without an end is a moment
        return None

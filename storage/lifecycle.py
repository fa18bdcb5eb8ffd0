"""What may happen to a visit, and what it changes: rules over plain values, the clock passed in."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from storage.errors import HomeVisitNotPending, Problem, ProblemCode, VersionConflict
from storage.folding import FOLDED_LENGTH, MARKS_IN_A_ROW, folded, has_further_marks, is_foldable
from storage.instants import rfc3339
from storage.models import CareEnquiry, HomeVisit, HomeVisitStatus, ServiceUserContact, VisitHost, VisitType, is_storable

NOTES_LENGTH = 10_000
# Events are kept for good: of these they say that they changed, and nothing else.
PERSONAL = frozenset({"notes", "service_user_contact"})
IDEMPOTENCY_KEY_LENGTH = 255
FIRST_YEAR, LAST_YEAR = 2000, 2100

REQUIRED_MESSAGES = {
    "date_time": "A visit needs a time. Leave the field out to keep the time it has.",
    "host": "A visit needs a host. Leave the field out to keep the host it has.",
}
ENQUIRY_UNKNOWN = Problem(
    "care_enquiry", "NOT_FOUND", "No care enquiry with this ID exists, or you may not see it. Check the ID."
)


class HomeVisitOperation(StrEnum):
    UPDATE = "UPDATE"
    CANCEL = "CANCEL"
    COMPLETE = "COMPLETE"


@dataclass(frozen=True, slots=True)
class BookingInput:
    """The values of a booking, its time in whole seconds.

    No `assigned_to`: the enquiry's user; no `service_user_contact`: the care seeker attends.
    """

    care_enquiry: str
    date_time: datetime
    host: VisitHost
    visit_type: VisitType
    assigned_to: str | None = None
    service_user_contact: str | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        # Before anything is made of it, a fingerprint too: forms cut the seconds, or send them back as they came.
        object.__setattr__(self, "date_time", in_whole_seconds(self.date_time))

    def values(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def in_whole_seconds(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def allowed_operations(visit: HomeVisit) -> list[HomeVisitOperation]:
    return list(HomeVisitOperation) if visit.status is HomeVisitStatus.PENDING else []


def require_pending(visit: HomeVisit) -> None:
    if visit.status is not HomeVisitStatus.PENDING:
        raise HomeVisitNotPending(visit)


def require_version(visit: HomeVisit, expected: int | None) -> None:
    if expected is not None and visit.version != expected:
        raise VersionConflict(visit)


def booking_problems(
    booking: BookingInput, enquiry: CareEnquiry | None, contact: ServiceUserContact | None, *, user_is_visible: bool
) -> list[Problem]:
    """Return all that is wrong with a booking, in view of the records it names."""
    problems = (
        _enquiry_problem(enquiry),
        time_problem(booking.date_time),
        _contact_problem(enquiry, booking.service_user_contact, contact),
        user_problem(booking.assigned_to, user_is_visible),
        notes_problem(booking.notes),
    )
    return [problem for problem in problems if problem]


def key_problem(key: str | None) -> Problem | None:
    if key is None or (1 <= len(key) <= IDEMPOTENCY_KEY_LENGTH and is_storable(key)):
        return None
    code: ProblemCode = "TOO_LONG" if len(key) > IDEMPOTENCY_KEY_LENGTH else "INVALID"
    return Problem("idempotency_key", code, f"Give a key of 1 to {IDEMPOTENCY_KEY_LENGTH} characters, without NUL.")


def _enquiry_problem(enquiry: CareEnquiry | None) -> Problem | None:
    if enquiry is None:
        return ENQUIRY_UNKNOWN
    if enquiry.location is None:
        return Problem("care_enquiry", "REQUIRED", "This care enquiry has no location to visit. Give it one first.")
    if enquiry.anonymized is not None:
        return Problem("care_enquiry", "INVALID", "This care enquiry has been anonymized. Book for a current one.")
    return None


def _contact_problem(enquiry: CareEnquiry | None, contact_id: str | None, contact: ServiceUserContact | None) -> Problem | None:
    if contact_id is None:
        return None
    if contact is None:
        return Problem(
            "service_user_contact", "NOT_FOUND", "No contact with this ID exists, or you may not see it. Check the ID."
        )
    if contact.anonymized is not None:
        return Problem("service_user_contact", "INVALID", "This contact has been anonymized. Choose a current one.")
    if enquiry is not None and contact.care_enquiry != enquiry.id:
        return Problem(
            "service_user_contact", "INVALID", "This contact belongs to another care enquiry. Choose one of this enquiry."
        )
    return None


def time_problem(date_time: datetime) -> Problem | None:
    if FIRST_YEAR <= date_time.astimezone(UTC).year <= LAST_YEAR:
        return None
    return Problem("date_time", "INVALID", f"A visit takes place in a year from {FIRST_YEAR} to {LAST_YEAR}. Check the year.")


def user_problem(user_id: str | None, user_is_visible: bool) -> Problem | None:
    if user_id is None or user_is_visible:
        return None
    return Problem("assigned_to", "NOT_FOUND", "No user with this ID exists, or you may not see them. Check the ID.")


def notes_problem(notes: str) -> Problem | None:
    if len(notes) > NOTES_LENGTH:
        return Problem("notes", "TOO_LONG", f"Notes may have at most {NOTES_LENGTH:,} characters: these have {len(notes):,}.")
    if not is_storable(notes):
        return Problem("notes", "INVALID", "Notes cannot hold NUL or half a character (a lone surrogate). Remove it.")
    if has_further_marks(notes):
        return Problem("notes", "TOO_LONG", f"Notes may have at most {MARKS_IN_A_ROW} accents in a row. Remove some.")
    if not is_foldable(notes):
        message = f"Notes may have at most {FOLDED_LENGTH:,} characters with ligatures and symbols written out. Shorten them."
        return Problem("notes", "TOO_LONG", message)
    return None


def required_problems(changes: Mapping[str, Any]) -> list[Problem]:
    nulls = [name for name in REQUIRED_MESSAGES if name in changes and changes[name] is None]
    return [Problem(name, "REQUIRED", REQUIRED_MESSAGES[name]) for name in nulls]


def new_visit(id: str, booking: BookingInput, enquiry: CareEnquiry, now: datetime) -> HomeVisit:
    """Return the visit of a booking that has no problems."""
    if enquiry.location is None:
        raise ValueError("a booking without problems has a location")
    values = booking.values() | {"assigned_to": booking.assigned_to or enquiry.assigned_to}
    return HomeVisit(id=id, location=enquiry.location, created=now, modified=now, notes_folded=folded(booking.notes), **values)


def time_of_change(visit: HomeVisit, now: datetime) -> datetime:
    """Return the present, but no time before the visit was created: clocks are set back."""
    return max(now, visit.created)


def change(visit: HomeVisit, changes: Mapping[str, Any], now: datetime) -> list[list[str | None]]:
    """Change the fields that differ, the time of change and the version; return name, old and new value as an event has them."""
    values = {name: value for name, value in changes.items() if getattr(visit, name) != value}
    entries = [[name, *_before_and_after(name, getattr(visit, name), value)] for name, value in values.items()]
    if values:
        values |= {"modified": now, "version": visit.version + 1}
        if "notes" in values:
            values["notes_folded"] = folded(values["notes"])
        for name, value in values.items():
            setattr(visit, name, value)
    return entries


def anonymize(visit: HomeVisit, now: datetime) -> list[list[str | None]]:
    """Wipe what a closed visit says of people; return the changes as an event has them. Raises ValueError for a pending one."""
    if visit.status is HomeVisitStatus.PENDING:
        raise ValueError("a pending visit needs what is kept about it")
    at = time_of_change(visit, now)
    return change(visit, {"notes": "", "service_user_contact": None, "anonymized": at}, at)


def without_personal_values(entries: Sequence[list[str | None]]) -> list[list[str | None]]:
    """Return the changes of an event as they are kept today: an older version kept which contact came."""
    return [[name, None, None] if name in PERSONAL else [name, *values] for name, *values in entries]


def _before_and_after(name: str, before: Any, after: Any) -> tuple[str | None, str | None]:
    return (None, None) if name in PERSONAL else (_text(before), _text(after))


def _text(value: Any) -> str | None:
    if isinstance(value, datetime):
        return rfc3339(value)
    return None if value is None else str(value)


def fingerprint(values: Mapping[str, Any]) -> str:
    """Return a hash that is equal for equal input, and from which the input cannot be read."""
    canonical = json.dumps({name: _text(value) for name, value in values.items()}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()

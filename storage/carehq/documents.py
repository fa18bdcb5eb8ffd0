"""What a document of each kind must hold, and how its values are kept."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel, Field, PlainValidator, ValidationError, ValidationInfo, field_validator

from storage.errors import UnknownKind
from storage.identifiers import is_identifier
from storage.lifecycle import FIRST_YEAR, LAST_YEAR, NOTES_LENGTH, in_whole_seconds, time_problem
from storage.models import VisitHost, VisitType, metadata
from storage.time_zones import is_time_zone

E = TypeVar("E", bound=StrEnum)

_is_instant = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
).fullmatch

_is_broken = re.compile(r"[\ud800-\udfff]").search


def _identifier(value: Any) -> str:
    if isinstance(value, str) and is_identifier(text := value.strip()):
        return text
    raise ValueError("must be 24 hexadecimal characters, 0-9 and a-f")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text or null")
    if "\0" in value:
        raise ValueError("must not hold the NUL character")
    if not value.isascii() and _is_broken(value):
        raise ValueError("must be UTF-8")
    return value


# Far more than any has, and little enough for letters, lists and logs.
TEXT_LENGTH = 300


def _short_text(value: Any) -> str:
    text = _text(value)
    if len(text) > TEXT_LENGTH:
        raise ValueError(f"must have at most {TEXT_LENGTH} characters: it has {len(text):,}")
    return text


def _notes(value: Any) -> str:
    notes = "" if value is None else _text(value)
    if len(notes) > NOTES_LENGTH:
        raise ValueError(f"must have at most {NOTES_LENGTH:,} characters: it has {len(notes):,}")
    return notes


def parse_instant(value: Any) -> datetime:
    """Read the source's own form, in UTC, or RFC 3339; raise ValueError."""
    if isinstance(value, str) and _is_instant(value := value.strip()):
        try:
            parsed = datetime.fromisoformat(value if len(value) == len("2024-11-03 11:00:00") else value.upper())
            return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
        except (ValueError, OverflowError):  # a day or an hour that the calendar does not have
            pass
    raise ValueError("must be an instant like 2024-11-03 11:00:00 in UTC, or with an offset like 2024-11-03T11:00:00+01:00")


def _visit_time(value: Any) -> datetime:
    instant = in_whole_seconds(parse_instant(value))
    if time_problem(instant):
        raise ValueError(f"must be in a year from {FIRST_YEAR} to {LAST_YEAR}")
    return instant


def _time_zone(value: Any) -> str:
    if isinstance(value, str) and is_time_zone(name := value.strip()):
        return name
    raise ValueError("must be the IANA name of a time zone, like Europe/London")


def members(kind: type[E]) -> dict[str, E]:
    """Return the members of an enumeration as the source writes them."""
    return {member.lower(): member for member in kind}


def _one_of(kind: type[StrEnum]) -> PlainValidator:
    choices = members(kind)

    def member(value: Any) -> StrEnum:
        if isinstance(value, str) and value in choices:
            return choices[value]
        raise ValueError(f"must be one of {', '.join(choices)}")

    return PlainValidator(member)


def _identifiers(value: Any) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(id, str) and is_identifier(id.strip()) for id in value):
        return list(dict.fromkeys(map(str.strip, value)))
    raise ValueError("must be a list of IDs, each 24 hexadecimal characters, 0-9 and a-f")


_ROLES = members(VisitHost)


def _role(value: Any, info: ValidationInfo) -> VisitHost | None:
    """Read a role; one that only the source knows is null, and a warning where the context of the validation collects them."""
    role = _ROLES.get(value) if isinstance(value, str) else None
    if role is None and value is not None:
        warn(info, f"location_role is left out, for it is none of {', '.join(_ROLES)}")
    return role


def _flag(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ValueError("must be true, false or null")


Identifier = Annotated[str, PlainValidator(_identifier)]
Text = Annotated[str, PlainValidator(_short_text)]
Instant = Annotated[datetime, PlainValidator(parse_instant)]


class Document(BaseModel):
    """A CareHQ document. Fields stand in the order of the source's own; others that a document may have are ignored."""

    only_when_set: ClassVar[frozenset[str]] = frozenset()

    id: Identifier = Field(alias="_id")


class UserDocument(Document):
    only_when_set = frozenset({"locations", "location_role", "suspended"})

    first_name: Text | None = None
    last_name: Text | None = None
    email: Text | None = None
    locations: Annotated[list[str] | None, PlainValidator(_identifiers)] = None
    location_role: Annotated[VisitHost | None, PlainValidator(_role)] = None
    suspended: Annotated[bool, PlainValidator(_flag)] = False


class LocationDocument(Document):
    name: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    time_zone: Annotated[str, PlainValidator(_time_zone)] | None = None


class CareEnquiryDocument(Document):
    only_when_set = frozenset({"anonymized"})

    first_name: Text | None = None
    last_name: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    assigned_to: Identifier | None = None
    location: Identifier | None = None
    anonymized: Instant | None = None


class ServiceUserContactDocument(Document):
    care_enquiry: Identifier | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    email: Text | None = None
    phone: Text | None = None


class HomeVisitDocument(Document):
    anonymized: Instant | None = None
    assigned_to: Identifier | None = None
    cancelled: Instant | None = None
    care_enquiry: Identifier
    completed: Instant | None = None
    created: Instant
    date_time: Annotated[datetime, PlainValidator(_visit_time)]
    host: Annotated[VisitHost, _one_of(VisitHost)]
    location: Identifier
    modified: Instant
    notes: Annotated[str, PlainValidator(_notes)] = ""
    service_user_contact: Identifier | None = None
    visit_type: Annotated[VisitType, _one_of(VisitType)]

    @field_validator("completed")
    @classmethod
    def _not_beside_cancelled(cls, completed: datetime | None, info: ValidationInfo) -> datetime | None:
        """Leave out when a visit was completed that has been cancelled since: the source's screens cancel completed ones."""
        if completed is None or info.data.get("cancelled") is None:
            return completed
        warn(info, "completed is left out, for `cancelled` is set: the visit is CANCELLED")
        return None


class Kind(NamedTuple):
    """What documents of one name hold; `table`, of the same name, keeps them, a column for each field."""

    name: str
    document: type[Document]

    @property
    def table(self) -> sa.Table:
        return metadata.tables[self.name]


KINDS = {
    kind.name: kind
    for kind in (
        Kind("users", UserDocument),
        Kind("locations", LocationDocument),
        Kind("care_enquiries", CareEnquiryDocument),
        Kind("service_user_contacts", ServiceUserContactDocument),
        Kind("home_visits", HomeVisitDocument),
    )
}


def kind_named(name: str) -> Kind:
    if name not in KINDS:
        raise UnknownKind(f"There are no documents called {name}: choose one of {', '.join(KINDS)}.")
    return KINDS[name]


def kind_of(path: Path) -> Kind:
    """Tell by a name that begins like `home_visits`: `home_visits_page.json`, `home_visits-2024.json`."""
    for name, kind in KINDS.items():
        if re.match(rf"{name}(?![a-z])", path.name.lower()):
            return kind
    raise UnknownKind(f"{path} does not tell what it holds: name its kind with --kind, one of {', '.join(KINDS)}.")


def read_document(kind: Kind, value: Any) -> tuple[Document, list[str]]:
    """Return a document, and a warning for each of its values that is not taken as it is; raise ValidationError."""
    warnings: list[str] = []
    return kind.document.model_validate(value, context=warnings), warnings


def warn(info: ValidationInfo, warning: str) -> None:
    """Tell whoever imports a document that one of its values is not taken as it is."""
    if info.context is not None:
        info.context.append(warning)


def problems(error: ValidationError) -> list[str]:
    """Say all that is wrong with a document, a field at a time, without repeating what it holds."""
    return [_problem(detail) for detail in error.errors(include_url=False, include_input=False)]


def _problem(detail: Any) -> str:
    match detail["type"]:
        case "missing":
            return f"{detail['loc'][0]} is missing"
        case "value_error":
            return f"{detail['loc'][0]} {detail['ctx']['error']}"
    return "must be a JSON object"

"""A world of two halves: ours, and what is hidden from us, with every way in which the one may lead to the other.

What is ours says so; the hidden is full of canaries, whatever columns there are or will be.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlmodel import Session, SQLModel

from storage.models import CareEnquiry, HomeVisit, HomeVisitEvent, Location, ServiceUserContact, User
from tests.databases import engine_at, migrate
from tests.world import NOW, limited_to

CANARY = "canary"
OURS = f"{1:024}"
KINDS = ["location", "user", "enquiry", "moved", "contact", "met", "visit", "later", "ended", "event"]
SEEN = {kind: f"{n:024}" for n, kind in enumerate(KINDS, 1)}
HIDDEN = {
    kind: f"bad{n:021}"
    for n, kind in enumerate(["location", "user", "enquiry", "contact", "visit", "other visit", "third", "event"])
}
US = limited_to(OURS)
HERE = {"care_enquiry": SEEN["enquiry"], "location": OURS}


def make(path: Path) -> None:
    """Make the database of this world."""
    migrate(path)
    engine = engine_at(path)
    with Session(engine) as session:
        for records in _two_halves():
            session.add_all(records)
            session.flush()
        session.commit()
    engine.dispose()


def _two_halves() -> Iterator[list[SQLModel]]:
    s, h = SEEN, HIDDEN
    yield [_filled(Location, "ours", id=OURS), _filled(Location, CANARY, id=h["location"])]
    works = {"locations": [h["location"], OURS], "location_role": "OTHER"}
    yield [_filled(User, "ours", id=s["user"], **works), _filled(User, CANARY, id=h["user"], locations=[h["location"]])]
    yield [
        _filled(CareEnquiry, "ours", id=s["enquiry"], location=OURS, assigned_to=s["user"]),
        _filled(CareEnquiry, "ours", id=s["moved"], location=h["location"], assigned_to=s["user"]),
        _filled(CareEnquiry, CANARY, id=h["enquiry"], location=h["location"], assigned_to=s["user"]),
    ]
    yield [
        _filled(ServiceUserContact, "ours", id=s["contact"], care_enquiry=s["enquiry"]),
        _filled(ServiceUserContact, "ours", id=s["met"], care_enquiry=h["enquiry"]),
        _filled(ServiceUserContact, CANARY, id=h["contact"], care_enquiry=h["enquiry"]),
    ]
    visit = {"date_time": NOW, "visit_type": "VIRTUAL", "host": "OTHER", "created": NOW, "modified": NOW}
    ours = visit | {"location": OURS, "assigned_to": s["user"]}
    theirs = visit | {"location": h["location"]}
    met = {"service_user_contact": s["met"], "cancelled": NOW}
    yield [
        _filled(HomeVisit, "ours", id=s["visit"], care_enquiry=s["enquiry"], service_user_contact=s["contact"], **ours),
        _filled(HomeVisit, "ours", id=s["later"], care_enquiry=s["moved"], **ours),
        _filled(HomeVisit, "ours", id=s["ended"], care_enquiry=s["moved"], **ours, **met),
        _filled(HomeVisit, CANARY, id=h["visit"], care_enquiry=h["enquiry"], assigned_to=h["user"], **theirs),
        _filled(HomeVisit, CANARY, id=h["other visit"], care_enquiry=s["enquiry"], assigned_to=s["user"], **theirs),
        _filled(HomeVisit, CANARY, id=h["third"], care_enquiry=s["moved"], service_user_contact=s["contact"], **theirs),
    ]
    event = {"at": NOW, "type": "IMPORTED", "version": 1, "changes": [["host", None, "OTHER"]]}
    theirs = event | {"care_enquiry": h["enquiry"], "location": h["location"], "changes": [["host", CANARY, CANARY]]}
    yield [
        _filled(HomeVisitEvent, "ours", id=s["event"], sequence=1, home_visit=s["visit"], **event, **HERE),
        _filled(HomeVisitEvent, CANARY, id=h["event"], sequence=2, home_visit=h["visit"], **theirs),
    ]


def _filled(model: type[SQLModel], text: str, **values: Any) -> Any:
    """Return a record whose every other column of plain text is this one."""
    plain = {name for name, field in model.model_fields.items() if field.annotation in (str, str | None)}
    references = {key.parent.name for key in model.__table__.foreign_keys}  # type: ignore[attr-defined]  # every table model has one
    return model(**dict.fromkeys(plain - references - set(values) - {"time_zone"}, text), **values)

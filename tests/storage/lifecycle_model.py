"""The lifecycle of visits once more, as plainly as it can be told: what random histories are held against."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from storage.caller import Caller
from storage.instants import stored
from tests.storage.homes import ALICE, BOB, DAUGHTER, EVANS, FROST, REID, ROWAN, SON, WILLOW

ENQUIRIES: dict[str, tuple[str, str | None]] = {REID: (WILLOW, ALICE), EVANS: (WILLOW, None), FROST: (ROWAN, BOB)}
CONTACTS = {DAUGHTER: REID, SON: FROST}
USERS = {ALICE, BOB}

Row = dict[str, Any]


class Refused(Exception):
    """Its text is the name of the refusal, and the fields of refused values."""


@dataclass
class Model:
    """`visits` and `events` are rows as the tables hold them, `keys` what each key was first used with."""

    visits: dict[str, Row] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    keys: dict[tuple[str, str], tuple[Row, str]] = field(default_factory=dict)

    def book(self, caller: Caller, booking: Row, key: str | None, now: datetime, id: str) -> str:
        """Book a visit under the ID that it was given, and return the ID of the visit to answer with."""
        if (caller.subject, key) in self.keys:
            first, booked = self.keys[caller.subject, str(key)]
            if first != booking:
                raise Refused("IdempotencyConflict")
            if not self._sees(caller, self.visits[booked]["location"]):
                raise Refused("InvalidInput", "care_enquiry")
            return booked
        location, user = self._enquiry(caller, booking)
        at = stored(now)
        same = {name: booking[name] for name in ("care_enquiry", "visit_type", "host", "notes", "service_user_contact")}
        identity = {"id": id, "location": location, "assigned_to": booking["assigned_to"] or user}
        times = {"date_time": stored(booking["date_time"]), "created": at, "modified": at}
        state = {"cancelled": None, "completed": None, "anonymized": None, "version": 1}
        self.visits[id] = same | identity | times | state | {"notes_folded": booking["notes"].casefold()}
        self._tell(caller, id, "BOOKED", [])
        if key is not None:
            self.keys[caller.subject, key] = booking, id
        return id

    def update(self, caller: Caller, id: str, changes: Row, expected: int | None, now: datetime) -> None:
        visit = self._pending(caller, id, expected)
        problems: list[str] = [name for name in ("date_time", "host") if name in changes and changes[name] is None]
        if self._wrong_user(caller, changes.get("assigned_to")):
            problems.append("assigned_to")
        if problems:
            raise Refused("InvalidInput", *problems)
        new = dict(changes)
        if "notes" in new:
            new["notes"] = new["notes"] or ""
        if "assigned_to" in new:
            new["assigned_to"] = new["assigned_to"] or ENQUIRIES[visit["care_enquiry"]][1]
        if "date_time" in new:
            new["date_time"] = stored(new["date_time"])
        self._change(caller, visit, "UPDATED", {name: value for name, value in new.items() if value != visit[name]}, now)

    def end(self, caller: Caller, id: str, how: str, expected: int | None, now: datetime) -> None:
        visit = self._pending(caller, id, expected)
        self._change(caller, visit, how.upper(), {how: stored(now)}, now)

    def _sees(self, caller: Caller, location: str) -> bool:
        return caller.locations is None or location in caller.locations

    def _enquiry(self, caller: Caller, booking: Row) -> tuple[str, str | None]:
        location, user = ENQUIRIES.get(booking["care_enquiry"], ("", None))
        problems = []
        visible = bool(location) and self._sees(caller, location)
        if not visible:
            problems.append("care_enquiry")
        if booking["service_user_contact"] and self._wrong_contact(caller, booking, visible=visible):
            problems.append("service_user_contact")
        if self._wrong_user(caller, booking["assigned_to"]):
            problems.append("assigned_to")
        if problems:
            raise Refused("InvalidInput", *problems)
        return location, user

    def _wrong_user(self, caller: Caller, user: str | None) -> bool:
        if user is None or (user in USERS and caller.locations is None):
            return False
        seen = [visit for visit in self.visits.values() if self._sees(caller, visit["location"])]
        by_visit = any(user in (visit["assigned_to"], ENQUIRIES[visit["care_enquiry"]][1]) for visit in seen)
        by_enquiry = any(user == assigned and self._sees(caller, location) for location, assigned in ENQUIRIES.values())
        return not (user in USERS and (by_visit or by_enquiry))

    def _wrong_contact(self, caller: Caller, booking: Row, *, visible: bool) -> bool:
        contact = booking["service_user_contact"]
        seen = [visit for visit in self.visits.values() if self._sees(caller, visit["location"])]
        by_visit = any(visit["service_user_contact"] == contact for visit in seen)
        in_sight = contact in CONTACTS and (self._sees(caller, ENQUIRIES[CONTACTS[contact]][0]) or by_visit)
        return not in_sight or (visible and CONTACTS[contact] != booking["care_enquiry"])

    def _pending(self, caller: Caller, id: str, expected: int | None) -> Row:
        visit = self.visits.get(id)
        if visit is None or not self._sees(caller, visit["location"]):
            raise Refused("HomeVisitNotFound")
        if visit["cancelled"] or visit["completed"]:
            raise Refused("HomeVisitNotPending")
        if expected is not None and expected != visit["version"]:
            raise Refused("VersionConflict")
        return visit

    def _change(self, caller: Caller, visit: Row, type: str, new: Row, now: datetime) -> None:
        if not new:
            return
        changes = [[name, *_before_and_after(name, visit[name], value)] for name, value in new.items()]
        visit |= new | {"modified": stored(now), "version": visit["version"] + 1}
        visit["notes_folded"] = visit["notes"].casefold()
        self._tell(caller, visit["id"], type, changes)

    def _tell(self, caller: Caller, id: str, type: str, changes: list[list[str | None]]) -> None:
        visit = self.visits[id]
        place = {name: visit[name] for name in ("care_enquiry", "location", "version")}
        event = {"sequence": len(self.events) + 1, "at": visit["modified"], "actor": caller.subject, "type": type}
        self.events.append(place | event | {"home_visit": id, "changes": changes})


def _before_and_after(name: str, before: str | None, after: str | None) -> tuple[str | None, str | None]:
    if name == "notes":
        return None, None
    if name in ("date_time", "cancelled", "completed"):
        return before and f"{before}Z", after and f"{after}Z"
    return before, after

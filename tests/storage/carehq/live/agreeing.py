"""What both sides of a history have to agree upon in the end, and with what was asked."""

import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from storage.lifecycle import BookingInput
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.test_following import documents


@dataclass
class Calls:
    """What became of calls that are alike."""

    acknowledged: int = 0
    in_doubt: int = 0


@dataclass
class Tally:
    """What was asked through here: `bookings` by their content, `changes` by visit and type; `keys` with their bookings."""

    bookings: dict[BookingInput, Calls] = field(default_factory=dict)
    changes: dict[tuple[str, str], Calls] = field(default_factory=dict)
    keys: dict[str, BookingInput] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    booked: dict[str | int, str] = field(default_factory=dict)


class Agreement(NamedTuple):
    followed: Followed
    tally: Tally

    async def check(self) -> None:
        here, there = [await documents(database) for database in (self.followed.database, self.followed.gateway.database)]
        assert here == there
        self._check_bookings()
        self._check_changes()
        self._check_events()
        self._check_wiped()

    def may_be_there(self, booking: BookingInput) -> bool:
        """Tell whether a visit that nobody here was told may be this booking: it has what never changes, and was changed."""
        fixed = {name: getattr(booking, name) for name in ("care_enquiry", "visit_type", "service_user_contact")}
        booked = self.tally.booked.values()
        rows = inspect(path_of(self.followed.gateway.database)).records("home_visits")
        return any(row["id"] not in booked and row["modified"] != row["created"] and fixed.items() <= row.items() for row in rows)

    def _check_bookings(self) -> None:
        booked = self._there_by("BOOKED")
        assert set(self.tally.booked.values()) <= booked.keys()
        assert set(booked.values()) <= {1}
        total = sum(calls.acknowledged + calls.in_doubt for calls in self.tally.bookings.values())
        acknowledged = sum(calls.acknowledged for calls in self.tally.bookings.values())
        assert acknowledged <= len(booked) <= total
        letters = inspect(path_of(self.followed.gateway.database)).query("SELECT home_visit FROM outbox_messages")
        moves = self._there_by("UPDATED")
        for id, sent in Counter(str(id) for (id,) in letters).items():
            assert sent <= 1 + moves[id] + self._office_by("UPDATED")[id]

    def _check_changes(self) -> None:
        for type in ("UPDATED", "CANCELLED", "COMPLETED"):
            there = self._there_by(type)
            for id, count in there.items():
                calls = self.tally.changes.get((id, type), Calls())
                assert count <= calls.acknowledged + calls.in_doubt, (id, type)

    def _check_events(self) -> None:
        versions = dict(inspect(path_of(self.followed.database)).query("SELECT id, version FROM home_visits"))
        theirs = dict(inspect(path_of(self.followed.gateway.database)).query("SELECT id, version FROM home_visits"))
        for id, version in versions.items():
            events = self.events(str(id))
            assert [version for version, _ in groupby(events, itemgetter(0))] == list(range(1, int(version) + 1)), (id, events)
            # What the follower has stored first is told once more, by who has done it.
            assert max(Counter((version, actor == "clerk") for version, _, actor in events).values()) == 1, (id, events)
            assert version <= theirs[id], (id, events)
            assert {(type, actor) for _, type, actor in events if actor != "clerk"} <= {("IMPORTED", "import")}
            own = Counter(type for _, type, actor in events if actor == "clerk")
            assert own["BOOKED"] <= list(self.tally.booked.values()).count(str(id))
            for type in ("UPDATED", "CANCELLED", "COMPLETED"):
                assert own[type] <= self.tally.changes.get((str(id), type), Calls()).acknowledged

    def _check_wiped(self) -> None:
        for table in ("care_enquiries", "service_user_contacts"):
            for row in inspect(path_of(self.followed.gateway.database)).records(table):
                if row["anonymized"] is not None:
                    names = f"SELECT first_name, last_name, email, phone FROM {table} WHERE id = '{row['id']}'"  # noqa: S608 - ours
                    assert set(inspect(path_of(self.followed.database)).query(names)) <= {(None, None, None, None)}
        for row in inspect(path_of(self.followed.database)).records("home_visits"):
            if row["anonymized"] is not None:
                changes = f"SELECT changes FROM home_visit_events WHERE home_visit = '{row['id']}'"  # noqa: S608 - ours
                texts = inspect(path_of(self.followed.database)).query(changes)
                entries = [entry for (text,) in texts for entry in json.loads(text)]
                assert all(entry[1:] == [None, None] for entry in entries if entry[0] in ("notes", "service_user_contact"))

    def events(self, id: str) -> list[tuple[int, str, str]]:
        events = f"SELECT version, type, actor FROM home_visit_events WHERE home_visit = '{id}' ORDER BY version"  # noqa: S608 - ours
        return [
            (int(version), str(type), str(actor))
            for version, type, actor in inspect(path_of(self.followed.database)).query(events)
        ]

    def _there_by(self, type: str, actor: str = "link") -> Counter[str]:
        events = f"SELECT home_visit FROM home_visit_events WHERE actor = '{actor}' AND type = '{type}'"  # noqa: S608 - ours
        return Counter(str(id) for (id,) in inspect(path_of(self.followed.gateway.database)).query(events))

    def _office_by(self, type: str) -> Counter[str]:
        return self._there_by(type, "office")

"""Whatever documents there may be: exported they say the same, and imported again they change nothing."""

import asyncio
import json
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.database import Database
from storage.folding import folded
from storage.models import VisitHost, VisitType
from tests.databases import copied, database_at, path_of
from tests.storage.carehq.taking import KINDS, give, take
from tests.storage.homes import everything_in, rows_of

# Few IDs, so that documents meet, and refer to each other.
ids = st.sampled_from([f"{number:024x}" for number in range(4)])
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
# Some of the same second, too.
instants = st.sampled_from([datetime.fromisoformat("2024-11-03")]) | st.datetimes(
    datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2050-01-01")
).map(lambda at: at - timedelta(microseconds=at.microsecond % 1000))
INSTANTS = {"anonymized", "cancelled", "completed", "created", "date_time", "modified"}


def text(at: datetime) -> str:
    return at.isoformat(" ", "milliseconds" if at.microsecond else "seconds")


def documents(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries({"_id": ids, **fields}), max_size=4)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def ended(visit: dict[str, Any]) -> dict[str, Any]:
    """Leave a visit with one end at most."""
    return visit | ({"completed": None} if visit["cancelled"] else {})


def as_exported(user: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a user what is not set, as the source does."""
    return {name: value for name, value in user.items() if name not in WORK or value not in (None, False)}


WORK = ("locations", "location_role", "suspended")
moments = instants.map(text)
worlds = st.fixed_dictionaries(
    {
        "users": documents(
            first_name=maybe(texts),
            last_name=maybe(texts),
            email=maybe(texts),
            locations=maybe(st.lists(ids, max_size=2, unique=True)),
            location_role=maybe(st.sampled_from([host.lower() for host in VisitHost])),
            suspended=st.booleans(),
        ).map(lambda users: list(map(as_exported, users))),
        "locations": documents(
            name=maybe(texts), email=maybe(texts), phone=maybe(texts), time_zone=maybe(st.sampled_from(["Europe/London", "UTC"]))
        ),
        "care_enquiries": documents(
            first_name=maybe(texts),
            last_name=maybe(texts),
            email=maybe(texts),
            phone=maybe(texts),
            assigned_to=maybe(ids),
            location=maybe(ids),
        ),
        "service_user_contacts": documents(
            care_enquiry=maybe(ids), first_name=maybe(texts), last_name=maybe(texts), email=maybe(texts), phone=maybe(texts)
        ),
        "home_visits": documents(
            anonymized=maybe(moments),
            assigned_to=maybe(ids),
            cancelled=maybe(moments),
            care_enquiry=ids,
            completed=maybe(moments),
            created=moments,
            date_time=instants.map(lambda at: at.isoformat(" ", "seconds")),
            host=st.sampled_from([host.lower() for host in VisitHost]),
            location=ids,
            modified=moments,
            notes=texts,
            service_user_contact=maybe(ids),
            visit_type=st.sampled_from([kind.lower() for kind in VisitType]),
        ).map(lambda visits: list(map(ended, visits))),
    }
)


WIPED = {"notes": "", "service_user_contact": None}


def expected(kind: str, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say what should be kept of documents that come in this order."""
    kept: dict[str, dict[str, Any]] = {}
    for document in documents:
        before = kept.get(document["_id"])
        if kind == "home_visits" and before and (before["anonymized"] or parsed(document) < parsed(before)):
            continue
        kept[document["_id"]] = document | (WIPED if document.get("anonymized") else {})
    with_details = (one for one in kept.values() if any(value is not None for name, value in one.items() if name != "_id"))
    return sorted((in_whole_seconds(one) for one in with_details), key=lambda document: document["_id"])


def in_whole_seconds(document: dict[str, Any]) -> dict[str, Any]:
    return document | {name: document[name] and document[name][:19] for name in INSTANTS & document.keys()}


def parsed(document: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(document["modified"])


async def taken(database: Database, folder: Path, world: dict[str, list[dict[str, Any]]]) -> None:
    for kind, documents in world.items():
        path = folder / f"{kind}.json"
        path.write_text(json.dumps(documents))
        assert (await take(database, path)).refused == []


async def lived(template: Path, world: dict[str, list[dict[str, Any]]], order: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = await database_at(copied(template, folder / "first.db")).open()
        second = await database_at(copied(template, folder / "second.db")).open()
        try:
            await taken(first, folder, {kind: world[kind] for kind in order})
            exported = {kind: await give(first, kind) for kind in KINDS}
            assert exported == {kind: expected(kind, world[kind]) for kind in KINDS}
            assert all(row["notes_folded"] == folded(row["notes"]) for row in rows_of(path_of(first), "home_visits"))

            before = everything_in(path_of(first))
            await taken(first, folder, exported)
            assert everything_in(path_of(first)) == before

            await taken(second, folder, exported)
            assert {kind: await give(second, kind) for kind in KINDS} == exported
        finally:
            await first.close()
            await second.close()


@given(world=worlds, order=st.permutations(KINDS))
@settings(deadline=None, max_examples=40)
def test_import_export_and_import_again(template: Path, world: dict[str, list[dict[str, Any]]], order: list[str]) -> None:
    asyncio.run(lived(template, world, order))

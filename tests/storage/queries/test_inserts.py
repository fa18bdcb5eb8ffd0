from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from storage.database import Database
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitEvent, HomeVisitEventType, IdempotencyKey
from storage.outbox.messages import OutboxMessage
from storage.queries.inserts import Insert
from tests import databases
from tests.databases import copied, database_at
from tests.storage.homes import ALICE, EVANS, NOW, VISIT_TIME, WILLOW, everything_in, visit, visit_id

Write = Callable[[Session, SQLModel], None]
RECORDS: list[SQLModel] = [
    visit(1, notes="Café", assigned_to=ALICE, cancelled=NOW + timedelta(milliseconds=1), confirmation=ConfirmationStatus.SENT),
    visit(2),
    HomeVisitEvent(
        id="7" * 24,
        at=NOW,
        actor="clerk",
        type=HomeVisitEventType.UPDATED,
        home_visit=visit_id(1),
        care_enquiry=EVANS,
        location=WILLOW,
        version=2,
        changes=[["host", "NURSE", "CARER"], ["notes", None, None]],
    ),
    IdempotencyKey(subject="clerk", key="k", fingerprint="0" * 64, home_visit=visit_id(1), created=NOW),
    OutboxMessage(
        id="6" * 24,
        home_visit=visit_id(1),
        sequence=0,
        status=ConfirmationStatus.QUEUED,
        date_time=VISIT_TIME,
        created=NOW,
        due=NOW,
        give_up=NOW + timedelta(hours=48, microseconds=1),
    ),
]


NULL = {
    "sqlite": r"NOT NULL constraint failed: home_visits\.location",
    "postgresql": 'null value in column "location" of relation "home_visits" violates not-null constraint',
}


def by_insert(session: Session, record: SQLModel) -> None:
    Insert(type(record))(session, record.model_dump())


def by_session(session: Session, record: SQLModel) -> None:
    session.add(type(record)(**record.model_dump()))
    session.flush()


async def kept(path: Path, write: Write) -> dict[str, list[tuple[Any, ...]]]:
    database = await database_at(path).open()
    for record in RECORDS:
        await database.write(lambda session, record=record: write(session, record))
    await database.close()
    return everything_in(path)


async def test_rows_are_those_that_a_session_writes(path: Path, tmp_path: Path) -> None:
    other = copied(path, tmp_path / "other.db")

    rows = await kept(path, by_insert)

    assert rows == await kept(other, by_session)
    assert {name: len(of) for name, of in rows.items() if of}.items() >= {"home_visits": 2, "outbox_messages": 1}.items()


async def test_a_row_comes_after_what_the_session_has_not_written_yet(database: Database) -> None:
    event = RECORDS[2].model_dump()

    def work(session: Session) -> list[Any]:
        session.add(visit(1))
        Insert(HomeVisitEvent)(session, event)
        return list(session.exec(select(HomeVisitEvent.id).where(col(HomeVisitEvent.home_visit) == visit_id(1))))

    assert await database.write(work) == [event["id"]]


async def test_what_must_be_given_is_refused_where_it_is_not(database: Database, path: Path) -> None:
    before = everything_in(path)

    with pytest.raises(sa.exc.IntegrityError, match=NULL[databases.KIND]):
        await database.write(lambda session: Insert(HomeVisit)(session, visit(1).model_dump(exclude={"location"})))

    assert everything_in(path) == before

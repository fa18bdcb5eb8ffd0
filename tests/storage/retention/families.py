"""Families of whom nothing may be left once they were wiped: each text that says anything of them is a word of its own."""

import asyncio
import random
import re
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from sqlmodel import Session, col, select

from storage.database import Database
from storage.models import CareEnquiry, ConfirmationStatus, HomeVisit, HomeVisitEvent, IdempotencyKey, ServiceUserContact
from storage.names import folded_columns
from storage.outbox.messages import OutboxMessage
from storage.queries.paging import Window
from storage.repository import HomeVisits
from tests.inspection import inspect
from tests.storage.homes import EVANS, EVERYTHING, WILLOW, Clock, booking, keep, visit

# As users book them, some milliseconds each; the others' visits are written at once.
BOOKED = 100
LETTERS, LENGTH = string.ascii_lowercase, 14


class Family(NamedTuple):
    """`words` are all that is kept of it which must go."""

    enquiry: str
    contact: str
    visit: str
    words: list[str]


def word(randomness: random.Random) -> str:
    return "".join(randomness.choices(LETTERS, k=LENGTH))


async def add_families(database: Database, clock: Clock, mail: Path, count: int) -> list[Family]:
    """Have families visit and write of each what is kept of one, notes that grow too; each visit is completed at once."""
    randomness = random.Random(18)  # noqa: S311 - words, not secrets
    families = [_family(number, [word(randomness) for _ in range(12)]) for number in range(count)]
    await keep(database, *[record for family in families for record in _people(family)])
    visits = HomeVisits(database, EVERYTHING, clock)
    mail.mkdir(exist_ok=True)  # noqa: ASYNC240 - nothing else runs here
    for family in families:
        (mail / f"8{family.enquiry[1:]}.eml").write_text(f"To: {family.words[2]}@family.example")
    notes = [" ".join([f.words[9], *["as was said before, and"] * randomness.randrange(60), f.words[10]]) for f in families]
    booked = [await _booked(visits, family, text) for family, text in zip(families[:BOOKED], notes, strict=False)]
    others = list(zip(families[BOOKED:], notes[BOOKED:], strict=True))
    await keep(database, *[_completed(family, text, clock) for family, text in others])
    await keep(database, *[_key(family, clock) for family, _ in others])
    booked += [family._replace(visit=_id_of_visit(family)) for family, _ in others]
    await _add_traces(database, booked, clock)
    return booked


async def _booked(visits: HomeVisits, family: Family, notes: str) -> Family:
    """Book, change and complete a visit."""
    who = {"care_enquiry": family.enquiry, "service_user_contact": family.contact}
    visit = await visits.book(booking(notes=f"{family.words[7]} came.", **who), idempotency_key=family.words[8])
    await visits.update(visit.id, {"notes": notes})
    await visits.complete(visit.id)
    return family._replace(visit=visit.id)


def _completed(family: Family, notes: str, clock: Clock) -> HomeVisit:
    who = {"care_enquiry": family.enquiry, "service_user_contact": family.contact, "id": _id_of_visit(family)}
    values = visit(0, notes=notes, completed=clock()).model_dump()
    return HomeVisit(**(values | who))


def _key(family: Family, clock: Clock) -> IdempotencyKey:
    used = {"fingerprint": "0" * 64, "home_visit": _id_of_visit(family), "created": clock()}
    return IdempotencyKey(subject="clerk", key=family.words[8], **used)


def _id_of_visit(family: Family) -> str:
    return f"5{family.enquiry[1:]}"


def _family(number: int, words: list[str]) -> Family:
    return Family(f"6{number:023x}", f"7{number:023x}", "", words)


def _people(family: Family) -> list[CareEnquiry | ServiceUserContact]:
    first, last, mailbox, phone, relative, surname, other, *_ = family.words
    seeker = {"first_name": first, "last_name": last, "email": f"{mailbox}@family.example", "phone": phone}
    contact = {"first_name": relative, "last_name": surname, "email": f"{other}@family.example", "phone": None}
    of = {"care_enquiry": family.enquiry}
    return [
        CareEnquiry(id=family.enquiry, location=WILLOW, **seeker, **folded_columns(seeker | {"anonymized": None})),
        ServiceUserContact(id=family.contact, **of, **contact, **folded_columns(contact | of)),
    ]


async def _add_traces(database: Database, families: list[Family], clock: Clock) -> None:
    """Keep of each a letter that a mail server refused with words of its own, and an event as an older version kept it."""
    times = {"date_time": clock(), "created": clock(), "due": clock(), "give_up": clock()}
    refused = {"status": ConfirmationStatus.FAILED, "sequence": 2**31 - 2}
    letters = [
        OutboxMessage(id=f"8{family.enquiry[1:]}", home_visit=family.visit, reasons=family.words[11], **refused, **times)
        for family in families
    ]
    await keep(database, *letters)
    contacts = {family.visit: family.contact for family in families}

    def work(session: Session) -> None:
        events = select(HomeVisitEvent).where(col(HomeVisitEvent.home_visit).in_(contacts), HomeVisitEvent.type == "BOOKED")
        for event in session.exec(events):
            event.changes = [["service_user_contact", None, contacts[event.home_visit]]]

    await database.write(work)


@asynccontextmanager
async def load(database: Database, clock: Clock) -> AsyncIterator[None]:
    """Have others book, change and read all the while."""
    visits = HomeVisits(database, EVERYTHING, clock)

    async def work() -> None:
        while True:
            visit = await visits.book(booking(care_enquiry=EVANS, notes="Busy."))
            await visits.update(visit.id, {"notes": "Busier. " * 20})
            await visits.page({"keyword": "busier"}, [("date_time", False)], Window.of(20, None, None, None))
            await asyncio.sleep(0.005)

    task = asyncio.create_task(work())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def left_of(families: list[Family], folder: Path) -> set[tuple[str, str]]:
    """Return which words stand in which files below a folder."""
    found = set()
    for file in folder.rglob("*"):
        if file.is_file():
            found |= {(file.name, word) for word in _words_in(file.read_bytes().decode("latin-1"), families)}
    return found


def left_in_tables(families: list[Family], path: Path) -> set[str]:
    """Return which words the tables hold."""
    return _words_in(repr(inspect(path).everything()), families)


def _words_in(content: str, families: list[Family]) -> set[str]:
    words = {word for family in families for word in family.words}
    runs = re.findall(rf"[a-z]{{{LENGTH},}}", content.lower())
    return {run[at : at + LENGTH] for run in runs for at in range(len(run) - LENGTH + 1)} & words

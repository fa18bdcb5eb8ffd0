"""Families whose names and notes were changed many times, at random, before they were wiped: each word is theirs alone."""

import random
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlmodel import Session, col

from storage.database import Database
from storage.folding import folded
from storage.models import CareEnquiry, HomeVisit
from storage.names import folded_columns
from tests.storage.homes import WILLOW, Clock, keep, visit, visit_id

T = TypeVar("T")

LENGTH = 14
# Visits of one transaction.
SOME = 50


class Histories:
    """`words` are all that was ever said of these families."""

    def __init__(self, seed: int) -> None:
        self.words = set[str]()
        self._random = random.Random(seed)  # noqa: S311 - words, not secrets

    async def live(self, database: Database, clock: Clock, count: int, changes: int) -> None:
        """Have so many families, each with a visit; change each a few times; then complete all visits."""
        ids = [f"6{number:023x}" for number in range(count)]
        await keep(database, *self._shuffled([CareEnquiry(id=id, location=WILLOW, **self._person()) for id in ids]))
        visits = [visit(number, care_enquiry=id, notes=self._text()) for number, id in enumerate(ids)]
        for some in _parts(self._shuffled(visits)):
            await keep(database, *some)
        for some in _parts(self._random.choices(range(count), k=changes * count)):
            await database.write(lambda session, some=some: self._change(session, some))  # type: ignore[misc]  # its argument has no type
        await database.write(lambda session: session.execute(sa.update(HomeVisit).values(completed=clock())))

    def _change(self, session: Session, numbers: list[int]) -> None:
        for number in numbers:
            text = self._text() if self._random.random() < 0.8 else ""
            notes = sa.update(HomeVisit).where(col(HomeVisit.id) == visit_id(number))
            session.execute(notes.values(notes=text, notes_folded=folded(text)))
            if self._random.random() < 0.3:
                enquiry = sa.update(CareEnquiry).where(col(CareEnquiry.id) == f"6{number:023x}")
                session.execute(enquiry.values(**self._person()))

    def _person(self) -> dict[str, str | None]:
        first, last, mailbox = self._word() * self._random.randrange(1, 8), self._word(), self._word()
        person = {"first_name": first, "last_name": last, "email": f"{mailbox}@family.example", "phone": None}
        return {**person, **folded_columns(person | {"anonymized": None})}

    def _text(self) -> str:
        return " ".join(self._word() for _ in range(self._random.choice((1, 3, 10, 30, 80, 200))))

    def _word(self) -> str:
        word = "".join(self._random.choices(string.ascii_lowercase, k=LENGTH))
        self.words.add(word)
        return word

    def _shuffled(self, records: list[HomeVisit] | list[CareEnquiry]) -> list[HomeVisit | CareEnquiry]:
        return self._random.sample(records, len(records))

    def left_in(self, folder: Path) -> set[tuple[str, str]]:
        """Return which words stand in which files below a folder."""
        return {(file.name, word) for file in folder.rglob("*") if file.is_file() for word in self._words_in(file)}

    def _words_in(self, file: Path) -> set[str]:
        runs = re.findall(rf"[a-z]{{{LENGTH},}}", file.read_bytes().decode("latin-1"))
        return {run[at : at + LENGTH] for run in runs for at in range(len(run) - LENGTH + 1)} & self.words


def _parts(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), SOME):
        yield items[start : start + SOME]

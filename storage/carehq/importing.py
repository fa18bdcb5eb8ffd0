"""CareHQ documents into the database: from files of any size, in batches, as often as one likes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from storage.carehq.documents import KINDS, Document, Kind, kind_named, kind_of, problems, read_document
from storage.carehq.merging import Tally, merge
from storage.carehq.reading import Documents, RawDocument
from storage.database import Database
from storage.errors import UnreadableFile

# Others that write wait for so many at most: some 200 ms. With fewer, more pages of the indexes are written over and over.
BATCH = 700
LARGE = 1 << 25


class RefusedDocument(NamedTuple):
    """A document that was not imported, and why; or a warning about one that was. `number` counts those of a file from 1."""

    path: Path
    number: int
    line: int
    problem: str
    is_warning: bool = False

    def __str__(self) -> str:
        warning = "warning: " if self.is_warning else ""
        return f"{self.path}: document {self.number} (line {self.line}): {warning}{self.problem}"


@dataclass
class ImportReport:
    """What became of the documents of each kind."""

    tallies: dict[str, Tally] = field(default_factory=dict)

    @property
    def refused(self) -> int:
        return sum(tally.refused for tally in self.tallies.values())


class _File(NamedTuple):
    path: Path
    kind: Kind
    size: int


@dataclass
class _Batch:
    documents: list[Document] = field(default_factory=list)
    refused: int = 0


async def import_documents(
    database: Database,
    paths: Sequence[Path],
    kind: str | None,
    now: datetime,
    *,
    progress: Callable[[int, int], None],
    refuse: Callable[[RefusedDocument], None],
) -> ImportReport:
    """Import files of documents, of one `kind` or of those that their names begin with, and report what became of them.

    After each batch `progress` is called with the bytes read and those of all files, `refuse` for each one refused
    and for each warning.
    Each batch is a transaction: where an import ends early, what it wrote stays, and a repeat completes it.
    Raises UnknownKind or UnreadableFile, before anything is written, and DatabaseUnusable.
    """
    # What is referred to comes first: that saves making stubs, only to fill them.
    files = sorted((_file(path, kind) for path in paths), key=lambda file: list(KINDS).index(file.kind.name))
    size = sum(file.size for file in files)
    report = ImportReport()
    read = 0
    async with database.importing(large=size >= LARGE):
        for file in files:
            with file.path.open("rb") as stream:
                documents = Documents(stream)
                for batch in _batches(file, documents, refuse):
                    await _import_batch(database, file.kind, batch, report, now)
                    progress(read + documents.bytes_read, size)
                read += documents.bytes_read
    if (visits := report.tallies.get("home_visits")) and (visits.updated or size >= LARGE):
        await database.optimize()
    return report


def _file(path: Path, kind: str | None) -> _File:
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror}. Check its name and its permissions.") from None
    return _File(path, kind_named(kind) if kind else kind_of(path), size)


async def _import_batch(database: Database, kind: Kind, batch: _Batch, report: ImportReport, now: datetime) -> None:
    tally = report.tallies.setdefault(kind.name, Tally())
    tally.refused += batch.refused
    if batch.documents:
        tally.add(await database.write(lambda session: merge(session, kind, batch.documents, now)))


def _batches(file: _File, documents: Iterable[RawDocument], refuse: Callable[[RefusedDocument], None]) -> Iterator[_Batch]:
    batch = _Batch()
    for number, document in enumerate(documents, 1):
        read = document.problem or _read(file.kind, document.value)
        if isinstance(read, str):
            batch.refused += 1
            refuse(RefusedDocument(file.path, number, document.line, read))
        else:
            document_read, warnings = read
            batch.documents.append(document_read)
            for warning in warnings:
                refuse(RefusedDocument(file.path, number, document.line, warning, is_warning=True))
        if len(batch.documents) + batch.refused == BATCH:
            yield batch
            batch = _Batch()
    yield batch


def _read(kind: Kind, value: Any) -> tuple[Document, list[str]] | str:
    try:
        return read_document(kind, value)
    except ValidationError as error:
        return "; ".join(problems(error))

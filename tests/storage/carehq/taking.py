"""What the tests of documents know: the source's own samples, documents to change, and how to import and export them."""

import io
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from storage.carehq.exporting import export_documents
from storage.carehq.importing import ImportReport, RefusedDocument, import_documents
from storage.carehq.merging import Tally
from storage.database import Database
from tests.storage.homes import NOW, rows_of

SAMPLES = Path(__file__).parent / "samples"
KINDS = ["users", "locations", "care_enquiries", "service_user_contacts", "home_visits"]

# After all that documents hold unless a test says otherwise.
LATER = "2024-11-02 08:00:00"
VISIT, ENQUIRY, LOCATION, USER, CONTACT = (f"{number}" + 23 * "0" for number in range(1, 6))


def visit(**changes: Any) -> dict[str, Any]:
    """Make a document with the fields that a visit needs."""
    values = {
        "_id": VISIT,
        "care_enquiry": ENQUIRY,
        "location": LOCATION,
        "date_time": "2024-11-03 11:00:00",
        "host": "manager",
        "visit_type": "in_person",
        "created": "2024-11-01 16:03:34",
        "modified": "2024-11-01 16:03:34",
    }
    return values | changes


def enquiry(**changes: Any) -> dict[str, Any]:
    return {"_id": ENQUIRY, "first_name": "Ada", "email": "ada@family.example"} | changes


def contact(**changes: Any) -> dict[str, Any]:
    return {"_id": CONTACT, "first_name": "Dora", "care_enquiry": ENQUIRY} | changes


@dataclass
class Outcome:
    """What an import told; `progress` are the bytes it had read after each batch, of how many."""

    report: ImportReport = field(default_factory=ImportReport)
    refused: list[RefusedDocument] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)

    @property
    def tallies(self) -> dict[str, Tally]:
        return self.report.tallies

    @property
    def problems(self) -> list[str]:
        return [document.problem for document in self.refused]


def write(folder: Path, **documents: Any) -> list[Path]:
    """Write a file for each kind, such as `home_visits=[…]`, and return their paths."""
    paths = [folder / f"{name}.json" for name in documents]
    for path, content in zip(paths, documents.values(), strict=True):
        path.write_text(json.dumps(content))
    return paths


async def take(database: Database, *paths: Path, kind: str | None = None, now: datetime = NOW) -> Outcome:
    """Import files."""
    outcome = Outcome()

    def progress(read: int, size: int) -> None:
        outcome.progress.append((read, size))

    outcome.report = await import_documents(database, paths, kind, now, progress=progress, refuse=outcome.refused.append)
    return outcome


async def give(database: Database, kind: str = "home_visits") -> list[dict[str, Any]]:
    """Export documents and read them."""
    out = io.BytesIO()
    await export_documents(database, out, kind)
    documents: list[dict[str, Any]] = json.loads(out.getvalue())
    return documents


def numbered(count: int) -> list[dict[str, Any]]:
    return [visit(_id=f"{number:024x}", notes=f"Visit {number}") for number in range(count)]


def ids_of(path: Path, table: str) -> list[str]:
    return [row["id"] for row in rows_of(path, table)]


async def taken(database: Database, folder: Path, **documents: list[Any]) -> dict[str, Tally]:
    """Import documents that are all sound."""
    outcome = await take(database, *write(folder, **documents))
    assert outcome.refused == []
    return outcome.tallies


async def change(database: Database, statement: str, **values: Any) -> None:
    def work(session: Session) -> None:
        session.connection().execute(sa.text(statement), values)

    await database.write(work)

"""Whether a database has the schema that this program makes, and nothing else: a trigger in it would run with our rights."""

import re
import tempfile
from contextlib import closing
from pathlib import Path
from threading import Lock

from storage import migrations
from storage.sqlite.connecting import EVERY_CONNECTION, apply, connected
from storage.sqlite.indexes import INDEXES
from storage.sqlite.migrating import migrate_to, revision

# What SQLite's ANALYZE adds, and what an import that was killed did without.
STATISTICS = {("table", "sqlite_stat1"), ("table", "sqlite_stat4")}
MAY_BE_MISSING = {("index", str(index.name)) for index in INDEXES}

# Alembic keeps what it works on for the whole process.
MIGRATING = Lock()

Definitions = dict[tuple[str, str], str | None]


def strangeness(path: Path) -> str | None:
    """Return how the schema differs from that of the step it is at; None where it does not."""
    found, step = _definitions(path), revision(path)
    if migrations.is_newer(step):
        return f"its step {step} is not known here"
    with tempfile.TemporaryDirectory(prefix="home-visits-schema-") as folder:
        model = Path(folder) / "model.db"
        with MIGRATING:
            migrate_to(step or "head", model)
        ours = _definitions(model)
    for kind, name in sorted(found.keys() - ours.keys() - STATISTICS):
        return f"it holds the {kind} {name}"
    for kind, name in sorted(ours.keys() - found.keys() - MAY_BE_MISSING):
        return f"the {kind} {name} is missing"
    for kind, name in sorted(found.keys() & ours.keys()):
        if found[kind, name] != ours[kind, name]:
            return f"its {kind} {name} is another"
    return None


def _definitions(path: Path) -> Definitions:
    with closing(connected(path, "ro")) as connection:
        apply(connection, EVERY_CONNECTION)
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
    return {(kind, name): f"{table} {_plain(sql)}" for kind, name, table, sql in rows}


def _plain(sql: str | None) -> str | None:
    """Leave out quotes and white space, in which indexes that an import built differ from those that a step made."""
    return sql and " ".join(re.sub(r'["]', "", sql).split())

"""The database grown up: each change of the tables as a step that Alembic applies once."""

import sqlite3
from contextlib import closing
from pathlib import Path

from storage.errors import DatabaseUnusable

HEAD = "0003"


def revision(path: Path) -> str | None:
    """Return the step that a database is at, None for an empty one; raise DatabaseUnusable for what is no database of ours."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if not tables:
                return None
            if "alembic_version" not in tables:
                raise DatabaseUnusable(f"{path} holds other tables: name a file of its own for the home visits.")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise DatabaseUnusable(f"{path} cannot be opened as a database: {error}. Check the file and its permissions.") from None
    return row[0] if row else None


def migrate(path: Path) -> bool:
    """Bring a database up to date and return whether there was anything to do; raise DatabaseUnusable where that cannot be."""
    current = revision(path)
    if current == HEAD:
        return _build_missing(path)
    known = {step.name.split("_")[0] for step in (Path(__file__).parent / "versions").glob("[0-9]*.py")}
    if current is not None and current not in known:
        raise DatabaseUnusable(
            f"{path} was made by a newer version of this program (step {current}): install that one or a later one."
        )
    # An up-to-date database, the usual case, starts faster without Alembic.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    from storage.sqlite.database import translate_errors  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["path"] = path
    with translate_errors():
        command.upgrade(config, "head")
    return True


def _build_missing(path: Path) -> bool:
    """Build the indexes that an import did without, and could not build because it was killed."""
    from sqlalchemy.schema import CreateIndex  # noqa: PLC0415

    from storage.carehq.indexes import INDEXES  # noqa: PLC0415
    from storage.queries.statements import DIALECT  # noqa: PLC0415
    from storage.sqlite.database import translate_errors  # noqa: PLC0415
    from storage.sqlite.readers import EVERY_CONNECTION  # noqa: PLC0415

    with (
        translate_errors(),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as connection,
    ):
        present = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}
        missing = [CreateIndex(index) for index in INDEXES if index.name not in present]
        if not missing:
            return False
        for pragma in (*EVERY_CONNECTION, "busy_timeout = 0"):
            connection.execute(f"PRAGMA {pragma}")
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            return False  # an import that is running builds them at its end
        for statement in missing:
            connection.execute(str(statement.compile(dialect=DIALECT)))
        connection.execute("COMMIT")
    return True

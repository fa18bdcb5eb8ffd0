"""The tables as they grew: each change as a step that Alembic applies once, one history for every database."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import DatabaseUnusable, UnfinishedMove

if TYPE_CHECKING:
    import sqlalchemy as sa

HEAD = "0015"
FOLDER = Path(__file__).parent
# In a database until everything that is moved to it is there.
UNFINISHED_MOVE = "unfinished_move"

# Of a step, by its revision, what only one database needs done: its SQL, in order.
Statements = Mapping[str, Sequence[str]]


@cache
def _steps(folder: Path) -> frozenset[str]:
    return frozenset(step.name.split("_")[0] for step in (folder / "versions").glob("[0-9]*.py"))


def is_newer(revision: str | None) -> bool:
    """Tell whether a database is at a step that is not one of these."""
    return revision is not None and revision not in _steps(FOLDER)


def is_served(revision: str | None, serves_from: str | None) -> bool:
    """Tell whether this code can use a database: at a step of its own, or at one that serves code from `serves_from` on."""
    return not is_newer(revision) or (serves_from is not None and serves_from <= HEAD)


def require_served(revision: str | None, serves_from: str | None, description: str) -> None:
    """Raise DatabaseUnusable for a database that this code cannot use."""
    if not is_served(revision, serves_from):
        raise DatabaseUnusable(
            f"{description} was made by a newer version of this program (step {revision}): install that one or a later one."
        )


def why_unserved(revision: str | None, serves_from: str | None) -> str | None:
    """Return why this code can no longer use a database that it has opened; None where it can."""
    if is_served(revision, serves_from):
        return None
    return (
        f"A newer version of this program has brought the database to step {revision}, which this version cannot use. "
        "Restart the server with the newer version."
    )


def require_moved(tables: Collection[str], description: str) -> None:
    """Raise UnfinishedMove for a database that has the table of one that is being filled."""
    if UNFINISHED_MOVE in tables:
        raise UnfinishedMove(f"{description} does not hold everything yet that is moved to it: run that move again to finish it.")


def steps_after(revision: str | None) -> list[str]:
    """Return the steps that a database at this one has still to go, in their order."""
    return sorted(step for step in _steps(FOLDER) if revision is None or step > revision)


def upgrade(connection: "sa.Connection", step: str, statements: Statements, built_later: Collection[str] = ()) -> str:
    """Apply the steps up to this one, in the transaction of the connection; `statements` are those of its database alone.

    Indexes of the names `built_later` are left out. Return the step from which on code can use the result: a step that says
    nothing by `serves_from` serves no older code.
    """
    # An up-to-date database, the usual case, starts faster without Alembic.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes.update(connection=connection, statements=statements, built_later=built_later)
    command.upgrade(config, step)
    applied = ScriptDirectory.from_config(config).iterate_revisions(step, "base")
    return max(getattr(script.module, "serves_from", script.revision) for script in applied)

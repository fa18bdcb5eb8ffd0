"""The tables as they grew: each change as a step that Alembic applies once, one history for every database."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import DatabaseUnusable

if TYPE_CHECKING:
    import sqlalchemy as sa

HEAD = "0006"
FOLDER = Path(__file__).parent

# Of a step, by its revision, what only one database needs done: its SQL, in order.
Statements = Mapping[str, Sequence[str]]


def require_not_newer(revision: str | None, description: str) -> None:
    """Raise DatabaseUnusable for a database at a step that is not one of these."""
    steps = {step.name.split("_")[0] for step in (FOLDER / "versions").glob("[0-9]*.py")}
    if revision is not None and revision not in steps:
        raise DatabaseUnusable(
            f"{description} was made by a newer version of this program (step {revision}): install that one or a later one."
        )


def upgrade(connection: "sa.Connection", step: str, statements: Statements) -> None:
    """Apply the steps up to this one, in the transaction of the connection; `statements` are those of its database alone."""
    # An up-to-date database, the usual case, starts faster without Alembic.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes.update(connection=connection, statements=statements)
    command.upgrade(config, step)

"""What a step of the tables leaves for later, because it takes long: done row by row, while servers go on."""

from storage.database import Database
from storage.events.numbering import number_events
from storage.progress import progress_bar
from storage.refolding import refold_all_notes


async def catch_up(database: Database) -> bool:
    """Do what is left, and show how far it has come; return whether notes had to be folded anew."""
    with progress_bar("Numbering events") as bar:
        await number_events(database, progress=bar.update)
    with progress_bar("Folding notes anew") as bar:
        return await refold_all_notes(database, progress=bar.update) > 0

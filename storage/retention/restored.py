"""What an operator is told of a restored backup: whose personal data are back with it, and how to wipe them again."""

from pathlib import Path

from storage.database import Database, WipedSince
from storage.retention.erasing import ACTOR


def describe_restored(database: Database, backup: Path, kept: Path | None) -> str:
    """Say what was restored. `kept` is the name under which the database before it is kept, if there was one."""
    copied = f"{backup} was checked and copied to {database}."
    if kept is None:
        return copied
    since = database.wiped_since(kept, ACTOR)
    return "\n".join([f"{copied} What was there is kept as {kept}.", *_describe(since, kept)])


def _describe(since: WipedSince | None, kept: Path) -> list[str]:
    if since is None:
        again = "Run anonymize, and person --erase for all who asked for it since, again."
        return [f"Whether anything was wiped since it was made, nobody can tell: {kept} cannot be read. {again}"]
    if not any(since.wiped):
        return ["Nothing was wiped since it was made."]
    enquiries = [f"  app.py person --care-enquiry {id} --erase" for id in since.care_enquiries]
    contacts = [f"  app.py person --contact {id} --erase" for id in since.contacts]
    sentence = f"Wiped since it was made, and back with it: {since.wiped}. Wipe them again, now:"
    return [sentence, *enquiries, *contacts, "  app.py anonymize --older-than DAYS"]

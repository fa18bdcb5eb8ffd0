"""What the commands say of wipes and of one person; nothing of it names anybody but the document that was asked for."""

import json
from collections.abc import Callable
from datetime import datetime

from storage.database import Database, Progress
from storage.errors import NobodyFound, NotAllGone
from storage.outbox.mailroom import FOLDER
from storage.retention.anonymizing import anonymize
from storage.retention.document import document_of
from storage.retention.erasing import erase
from storage.retention.finding import PersonRequest, find_person
from storage.retention.followed import require_not_followed
from storage.retention.overdue import describe_overdue
from storage.retention.preview import preview
from storage.retention.purging import purge

Clock = Callable[[], datetime]


async def anonymize_and_describe(
    database: Database, days: int, clock: Clock, *, dry_run: bool, progress: Progress | None = None
) -> str:
    """Anonymize by age, or count; raise NotAllGone, or NotHere where an account is followed."""
    if dry_run:
        await require_not_followed(database)
        counted = f"To be wiped: {await preview(database, days, clock(), progress)}. Nothing was wiped."
        return "\n".join([counted, *await describe_overdue(database, days, clock())])
    report = await anonymize(database, days, clock, progress=progress)
    in_use = [f"{report.left:,} visits were in use, and are left: run it again."] if report.left else []
    letters = f"Letters removed from {FOLDER.absolute()}: {report.letters:,}."
    return _described(
        [
            f"Wiped: {report.wiped}.",
            letters,
            *in_use,
            *await describe_overdue(database, days, clock()),
            *report.remains.sentences(),
        ],
        is_done=report.is_done,
    )


def _described(sentences: list[str], *, is_done: bool) -> str:
    if not is_done:
        raise NotAllGone("\n".join(["Not everything is gone yet.", *sentences]))
    return "\n".join(sentences)


async def person_document(database: Database, request: PersonRequest) -> str:
    """Return all that is kept about a person as JSON; raise PersonUnnamed, NobodyFound or AmbiguousPerson."""
    document = await document_of(database, await find_person(database, request))
    return json.dumps(document, indent=2, ensure_ascii=False)


async def erase_and_describe(database: Database, request: PersonRequest, clock: Clock) -> str:
    """Erase a person; raise PersonUnnamed, NobodyFound, AmbiguousPerson, LetterUnderWay, NotAllGone or NotHere."""
    await require_not_followed(database)
    try:
        person = await find_person(database, request)
    except NobodyFound as nobody:
        # An erasure that was killed after its commit leaves nobody to be found by their address, but may leave files.
        purged = await purge(database)
        cleared = f"What was wiped before was removed from files all the same, {purged.letters:,} letters among them."
        sentences = [str(nobody), *([cleared] if purged.remains.is_done else []), *purged.remains.sentences()]
        raise NobodyFound("\n".join(sentences)) from None
    erased = await erase(database, person, clock)
    return _described([str(erased), *erased.remains.sentences()], is_done=erased.remains.is_done)

"""All visits, here and in the account, by ID and when they were modified: what vanished there, and what was missed here."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.carehq.exporting import WHOLE_SECONDS
from storage.carehq.live import lists
from storage.carehq.live.client import CareHQ
from storage.carehq.live.lists import VISITS
from storage.carehq.live.progress import Walk
from storage.database import Database
from storage.errors import UpstreamRefused, UpstreamUnavailable
from storage.identifiers import is_identifier
from storage.instants import stored as stored_text
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

BATCH = 10_000
# More is no accident of single visits: the key sees less than it did, or another account answers.
MOST_LOOKED_AT = 200


class Comparison(NamedTuple):
    """IDs of visits that only we have, of those that the account alone has, or has newer, and of those that it has older."""

    vanished: set[str]
    missed: set[str]
    older: set[str]


async def compare(database: Database, carehq: CareHQ) -> Comparison:
    """Compare all IDs of visits, and when they were modified; those that seem to have vanished are asked for one by one."""
    # What is stored meanwhile is newer there too.
    stored = await _stored(database)
    upstream = await _listed(carehq)
    vanished = stored.keys() - upstream.keys()
    if len(vanished) <= MOST_LOOKED_AT:
        vanished = {id for id in vanished if not await _exists(carehq, id)}
    missed = {id for id, modified in upstream.items() if modified > stored.get(id, "") or id not in stored}
    older = {id for id, modified in upstream.items() if "" < modified < stored.get(id, "")}
    return Comparison(vanished, missed, older)


async def _listed(carehq: CareHQ) -> dict[str, str]:
    """Return when each of the account's visits was modified, in whole seconds; "" where that cannot be told."""
    listed: dict[str, str] = {}
    walk, path = Walk(kind=VISITS.name), lists.path_of(VISITS)
    while True:
        page = await carehq.page(path, lists.pairs_of(walk, ["_id", "modified"]))
        if walk.began is None:
            walk = lists.begun(walk, page)
            if lists.is_by_time(walk):
                continue
        for item in page.items:
            # What else stands there is no ID of a visit, and may lead to another path.
            if isinstance(item, dict) and isinstance(id := item.get("_id"), str) and is_identifier(id):
                listed[id] = next((_cut(modified) for modified in lists.modified_of([item])), "")
        walk = lists.advanced(walk, page, list(lists.modified_of(page.items)))
        if lists.is_ended(walk, page):
            return listed


async def _stored(database: Database) -> dict[str, str]:
    stored: dict[str, str] = {}
    after = ""
    while rows := await database.fetch(_visits_after(database.dialect), {"after": after}):
        found: Sequence[Any] = rows
        stored.update((id, modified[:WHOLE_SECONDS]) for id, modified in found)
        after = found[-1][0]
    return stored


def _cut(modified: datetime) -> str:
    return stored_text(modified)[:WHOLE_SECONDS]


async def _exists(carehq: CareHQ, id: str) -> bool:
    try:
        answer = await carehq.get(f"{lists.path_of(VISITS)}/{id}")
    except UpstreamRefused as refused:
        if refused.status != 404:
            raise
        return False
    if answer.document.get("_id") != id:
        raise UpstreamUnavailable("it answers a document in a form that is not CareHQ's", may_be_done=True)
    return True


@lru_cache
def _visits_after(dialect: Dialect) -> Statement:
    id = VISITS.table.c.id
    rows = sa.select(id, VISITS.table.c.modified).where(id > sa.bindparam("after", type_=sa.String())).order_by(id)
    # Without an offset SQLAlchemy would put one into the statement, as a value.
    return compiled(dialect, rows.limit(sa.literal_column(str(BATCH))).offset(sa.literal_column("0")))

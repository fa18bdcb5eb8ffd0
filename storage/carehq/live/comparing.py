"""All IDs of visits, here and in the account: what vanished there, and what was missed here."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.carehq.live import lists
from storage.carehq.live.client import CareHQ
from storage.carehq.live.lists import VISITS
from storage.carehq.live.progress import Walk
from storage.database import Database
from storage.errors import UpstreamRefused
from storage.queries.dialect import Dialect
from storage.queries.statements import Statement, compiled

BATCH = 10_000
# More is no accident of single visits: the key sees less than it did, or another account answers.
MOST_LOOKED_AT = 200


class Comparison(NamedTuple):
    """IDs of visits that only we have, and of those that only the account has."""

    vanished: set[str]
    missing: set[str]


async def compare(database: Database, carehq: CareHQ) -> Comparison:
    """Compare all IDs of visits; those that seem to have vanished are asked for one by one."""
    upstream = await _listed(carehq)
    stored = await _stored(database)
    vanished = stored - upstream
    if len(vanished) <= MOST_LOOKED_AT:
        vanished = {id for id in vanished if not await _exists(carehq, id)}
    return Comparison(vanished, upstream - stored)


async def _listed(carehq: CareHQ) -> set[str]:
    ids: set[str] = set()
    walk, path = Walk(kind=VISITS.name), lists.path_of(VISITS)
    while True:
        page = await carehq.page(path, lists.pairs_of(walk, ["_id", "modified"]))
        if walk.began is None:
            walk = lists.begun(walk, page)
            if lists.is_by_time(walk):
                continue
        ids.update(item["_id"] for item in page.items if isinstance(item, dict) and isinstance(item.get("_id"), str))
        walk = lists.advanced(walk, page, list(lists.modified_of(page.items)))
        if lists.is_ended(walk, page):
            return ids


async def _stored(database: Database) -> set[str]:
    ids: set[str] = set()
    after = ""
    while rows := await database.fetch(_ids_after(database.dialect), {"after": after}):
        found: Sequence[Any] = rows
        ids.update(row[0] for row in found)
        after = found[-1][0]
    return ids


async def _exists(carehq: CareHQ, id: str) -> bool:
    try:
        await carehq.get(f"{lists.path_of(VISITS)}/{id}")
    except UpstreamRefused as refused:
        if refused.status != 404:
            raise
        return False
    return True


@lru_cache
def _ids_after(dialect: Dialect) -> Statement:
    id = VISITS.table.c.id
    rows = sa.select(id).where(id > sa.bindparam("after", type_=sa.String())).order_by(id)
    # Without an offset SQLAlchemy would put one into the statement, as a value.
    return compiled(dialect, rows.limit(sa.literal_column(str(BATCH))).offset(sa.literal_column("0")))

"""What is read of an account outside a walk: single documents, and those that others refer to, stored as they come."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from storage.carehq.documents import Document, Kind
from storage.carehq.live import lists
from storage.carehq.live.client import CareHQ
from storage.carehq.live.unknown import OUTERMOST_FIRST, named, unknown
from storage.database import Database
from storage.errors import UpstreamRefused, UpstreamUnavailable

# What an account does not have is not asked for again and again.
MOST_MISSING = 10_000

Store = Callable[[Kind, Sequence[Document]], Awaitable[object]]


class References:
    """Fetches what documents refer to, and nothing is known of here, one document at a time: there are few."""

    def __init__(self, database: Database, carehq: CareHQ, store: Store) -> None:
        self._database = database
        self._carehq = carehq
        self._store = store
        self._missing: set[tuple[str, str]] = set()

    async def fetch_for(self, kind: Kind, documents: Iterable[Document]) -> None:
        await self.fetch(named(kind, documents))

    async def fetch(self, ids: dict[str, set[str]]) -> None:
        """Store those of these IDs, by the names of their kinds, that are not known here, and what they refer to."""
        for kind in OUTERMOST_FIRST:
            for id in sorted(await unknown(self._database, kind, ids.get(kind.name, ()))):
                if document := await self._document(kind, id):
                    for name, others in named(kind, [document]).items():
                        ids.setdefault(name, set()).update(others)
                    await self._store(kind, [document])

    async def fetch_anew(self, ids: dict[str, set[str]]) -> None:
        """Store documents of these IDs as they are now, by the names of their kinds, though they are known here."""
        for kind in OUTERMOST_FIRST:
            for id in sorted(ids.get(kind.name, ())):
                if document := await self._document(kind, id):
                    await self.fetch_for(kind, [document])
                    await self._store(kind, [document])

    async def _document(self, kind: Kind, id: str) -> Document | None:
        if (kind.name, id) in self._missing:
            return None
        try:
            answer = await self._carehq.get(f"{lists.path_of(kind)}/{id}")
        except UpstreamRefused as refused:
            if refused.status not in (403, 404):
                raise
            if len(self._missing) >= MOST_MISSING:
                self._missing.clear()
            self._missing.add((kind.name, id))
            return None
        if answer.document.get("_id") != id:
            raise UpstreamUnavailable("it answers a document in a form that is not CareHQ's", may_be_done=True)
        documents, _ = lists.read(kind, [answer.document])
        return documents[0] if documents else None

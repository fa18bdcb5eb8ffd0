"""Lists of an account's documents: what to ask for, and how a walk through one goes on after each page."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from storage.carehq.documents import KINDS, Document, Kind, parse_instant, problems, read_document
from storage.carehq.exporting import attributes_of
from storage.carehq.live.answers import Page
from storage.carehq.live.progress import CLOCK_SKEW, Walk

VISITS: Final = KINDS["home_visits"]
# Each refers only to those before it.
REFERENCES: Final = tuple(KINDS[name] for name in ("locations", "users", "care_enquiries", "service_user_contacts"))
# What is in no source that we know, and may be refused.
UNCERTAIN: Final = frozenset({"time_zone", "suspended", "location_role", "phone"})

PER_PAGE = 100
# Beyond it a list is walked by when its documents were modified.
FURTHEST_PAGE = 1_000
# The account shows whole seconds, and what was modified within one may not be visible at once.
MARGIN = timedelta(seconds=2)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def path_of(kind: Kind) -> str:
    return kind.name.replace("_", "-")


def pairs_of(walk: Walk, attributes: Sequence[str]) -> list[tuple[str, str]]:
    """Return the parameters that ask for the next page of a walk."""
    pairs = [("attributes", name) for name in attributes]
    pairs += [("page", str(walk.page + 1)), ("per_page", str(PER_PAGE)), ("sort", "modified" if is_by_time(walk) else "_id")]
    if since := walk.since or walk.watermark:
        pairs.append(("filters-modified_after", written(since)))
    return pairs


def written(instant: datetime) -> str:
    """Return an instant, which is in UTC, as the account writes it."""
    return instant.replace(tzinfo=None, microsecond=0).isoformat(" ")


def attributes_to_ask(kind: Kind, *, certain_only: bool = False) -> list[str]:
    return [name for name in attributes_of(kind) if not (certain_only and name in UNCERTAIN)]


def is_by_time(walk: Walk) -> bool:
    return walk.since is not None


def set_back(walk: Walk, page: Page) -> Walk | None:
    """Return from where to walk instead where the account's clock shows an earlier time than the watermark, that was set back.

    How long it was wrong nobody knows: where that was more than clocks differ, everything is read again.
    """
    if walk.watermark is None or page.sent >= walk.watermark:
        return None
    is_little = walk.watermark - page.sent < CLOCK_SKEW
    return Walk(kind=walk.kind, watermark=page.sent - CLOCK_SKEW if is_little else None)


def begun(walk: Walk, page: Page) -> Walk:
    """Return a walk as its first page has it: too long a list of visits is walked by time, in windows."""
    since = walk.watermark or EPOCH
    by_time = walk.kind == VISITS.name and page.page_count > FURTHEST_PAGE
    return Walk(kind=walk.kind, watermark=walk.watermark, began=page.sent, since=since if by_time else None)


def advanced(walk: Walk, page: Page, modified: Sequence[datetime]) -> Walk:
    """Return a walk after a page was stored, whose documents were `modified` then.

    A document that is modified meanwhile moves to the end of a list by time, so those after it move to an earlier page: so
    pages of it are passed over only among documents of one second.
    """
    after = Walk(**walk.model_dump())
    after.has_shrunk = walk.has_shrunk or (walk.item_count is not None and page.item_count < walk.item_count)
    after.page, after.item_count = walk.page + 1, page.item_count
    if (
        walk.since is not None
        and modified
        and (since := max(*modified, EPOCH + timedelta(seconds=1)).replace(microsecond=0) - timedelta(seconds=1)) > walk.since
    ):
        after.since, after.page, after.item_count, after.has_shrunk = since, 0, None, False
    return after


def is_ended(walk: Walk, page: Page) -> bool:
    """Tell whether a walk, after it has stored this page, is at its end: past it there are no rows."""
    return (walk.page or 1) >= page.page_count or not page.items


def ended(walk: Walk, *, is_whole: bool) -> Walk:
    """Return what is kept of a walk at its end: where the next begins or, unless it `is_whole`, this one begins anew."""
    if walk.kind != VISITS.name:
        return Walk(kind=walk.kind)
    if is_whole:
        return Walk(kind=walk.kind, watermark=walk.began and walk.began - MARGIN)
    return Walk(kind=walk.kind, watermark=walk.watermark, began=walk.began if is_by_time(walk) else None, since=walk.since)


class Rows:
    """Counts the rows of one walk by ID, each once: a page that repeats shows that others were left out."""

    def __init__(self) -> None:
        self._number = 0
        self._last = ""
        self._expected = 0

    def add(self, walk: Walk, page: Page) -> None:
        """Count the page that was asked for after those that `walk` has stored."""
        if walk.page == 0 and not is_by_time(walk):
            self._expected = page.item_count
        for item in page.items:
            id = item.get("_id") if isinstance(item, dict) else None
            if not isinstance(id, str) or id > self._last:
                self._number += 1
            if isinstance(id, str):
                self._last = max(self._last, id)

    def are_all(self) -> bool:
        """Tell whether there were as many as at the beginning; what enters a list meanwhile is for the next walk."""
        return self._number >= self._expected


def read(kind: Kind, items: Sequence[Any]) -> tuple[list[Document], list[str]]:
    """Return the documents of a page, and for each that cannot be used its ID and why."""
    documents: list[Document] = []
    refused: list[str] = []
    for item in items:
        try:
            documents.append(read_document(kind, item)[0])
        except ValidationError as error:
            refused.append(f"{_id_of(item)}: {'; '.join(problems(error))}")
    return documents, refused


def modified_of(items: Sequence[Any]) -> Iterator[datetime]:
    """Yield when documents were modified, those too that cannot be used: a walk by time passes over them."""
    for item in items:
        try:
            yield parse_instant(item["modified"])
        except (ValueError, TypeError, KeyError):
            continue


def _id_of(item: Any) -> str:
    id = item.get("_id") if isinstance(item, dict) else None
    return id if isinstance(id, str) and len(id) <= 24 and id.isalnum() else "a document without an ID"

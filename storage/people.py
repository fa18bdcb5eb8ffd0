"""The reader of lists of care enquiries, locations, users and contacts: each statement limited to what its caller may see."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from typing import Any, TypeVar, cast

from storage.caller import Caller
from storage.database import Database
from storage.queries import people
from storage.queries.conditions import Conditions
from storage.queries.numbered_pages import FURTHEST_IN_ORDER, FURTHEST_ROW
from storage.queries.paging import NumberedPage, Page, Window, canonical, page_of
from storage.queries.people_filters import PeopleFilter, people_conditions
from storage.queries.references import Kind
from storage.queries.statements import COMPILING
from storage.repository import OrderKeys

BY_ID: OrderKeys = (("id", False),)

T = TypeVar("T")


class People:
    """The people and locations that `caller` may see by ID. `default_time_zone` is that of locations which name none."""

    def __init__(self, database: Database, caller: Caller, default_time_zone: str | None) -> None:
        self._database = database
        self._dialect = database.dialect
        self._caller = caller
        self._default_time_zone = default_time_zone

    def as_stored(self) -> "People":
        """Return a reader of the same which shows no time zone where a location names none."""
        return People(self._database, self._caller, None)

    async def page(self, kind: Kind, filter: PeopleFilter, order: OrderKeys, window: Window) -> Page[Any]:
        """Return a page of those who meet `filter`; raise InvalidPage for a cursor of another order or list."""
        where = people_conditions(kind, filter, self._caller.locations, self._dialect)
        shape, values = self._shape(kind, where, order, window)
        listed = await self._compiled(people.page, shape)
        rows = await self._fetch(listed.statement, values)
        beyond: Sequence[Any] = rows[0][listed.width :] if rows else ()
        if not rows and (shape.after or shape.before):
            beyond = (await self._fetch(await self._compiled(people.beyond_cursors, shape), values))[0]

        async def total() -> int:
            statement = await self._compiled(people.count, people.Shape(kind, where.shape))
            return cast("int", (await self._fetch(statement, where.values))[0][0])

        rows = [row[: listed.width] for row in rows]
        return page_of(rows, listed.record, listed.order, window, beyond, total)

    async def numbered_page(self, kind: Kind, filter: PeopleFilter, order: OrderKeys, page: NumberedPage) -> Page[Any]:
        """Return a page by its number; one beyond the end of the list is empty."""
        window = Window(page.size, False, None, None)
        if page.offset == 0:
            return await self.page(kind, filter, order, window)
        where = people_conditions(kind, filter, self._caller.locations, self._dialect)
        shape, values = self._shape(kind, where, order, window)
        found = await self._compiled(people.row_at, shape)
        rows = await self._fetch(found.statement, values | page.row_before())
        if not rows:
            return await self.page(kind, filter, order, window._replace(size=0))
        return await self.page(kind, filter, order, window._replace(after=found.order.cursor(rows[0])))

    def furthest_row(self, filter: PeopleFilter) -> int:
        """Return up to which row pages of a list are numbered."""
        return FURTHEST_ROW if filter.get("search") else FURTHEST_IN_ORDER

    async def contacts(self, care_enquiries: Sequence[str], window: Window) -> list[Page[Any]]:
        """Return for each care enquiry a page of its contacts by ID, all read by one statement."""
        kind: Kind = "service_user_contact"
        where = people_conditions(kind, {}, self._caller.locations, self._dialect)
        shape, values = self._shape(kind, where, BY_ID, window, nested=True)
        rows_of: dict[str, list[Any]] = {id: [] for id in care_enquiries}
        values["parents"] = self._dialect.list_value(list(rows_of))
        listed = await self._compiled(people.page, shape)
        for row in await self._fetch(listed.statement, values):
            rows_of[row[0]].append(row[1:])
        total_of = self._total_of(where, values["parents"])

        def page(id: str, rows: list[Any]) -> Page[Any]:
            own = [row[: listed.width] for row in rows if row[0] is not None]
            return page_of(own, listed.record, listed.order, window, rows[0][listed.width :], partial(total_of, id))

        return [page(id, rows_of[id]) for id in care_enquiries]

    def _total_of(self, where: Conditions, parents: Any) -> Callable[[str], Awaitable[int]]:
        """Return what counts the contacts of one enquiry. The first call counts those of all, also for calls made meanwhile."""

        async def fetch() -> dict[str, int]:
            statement = await self._compiled(people.count, people.Shape("service_user_contact", where.shape, nested=True))
            return dict(await self._fetch(statement, where.values | {"parents": parents}))

        @cache
        def totals() -> asyncio.Future[dict[str, int]]:
            return self._database.begin(fetch())

        async def total_of(id: str) -> int:
            return (await totals())[id]

        return total_of

    def _shape(
        self, kind: Kind, where: Conditions, keys: OrderKeys, window: Window, *, nested: bool = False
    ) -> tuple[people.Shape, dict[str, Any]]:
        order = people.order_of(kind, canonical(keys))
        size, backward, after, before = window
        values = {**where.values, "limit": size + 1, "default_time_zone": self._default_time_zone}
        if after is not None:
            values |= order.position(after, "after")
        if before is not None:
            values |= order.position(before, "before")
        return people.Shape(kind, where.shape, order.keys, backward, after is not None, before is not None, nested), values

    async def _fetch(self, statement: Any, values: dict[str, Any]) -> Sequence[Any]:
        rows: Sequence[Any] = await self._database.fetch(statement, values, self._caller.subject)
        return rows

    async def _compiled(self, compile: Callable[..., T], shape: people.Shape) -> T:
        """Return the form of a list as it runs here; where it is new, it is compiled when it is its turn."""
        if COMPILING.is_taken:
            await COMPILING.wait()
        return compile(self._dialect, shape)

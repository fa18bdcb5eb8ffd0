"""An operation holds the loop for its slice of time at most: what waits is served before it goes on."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from time import perf_counter
from typing import Any

import strawberry

from schema.execution.engine import Engine, Request, Served
from schema.execution.hints import Derived, NestedPages, PagesLoader, hinted
from schema.execution.limits import Limits
from schema.execution.nested_pages import PAGES_AT_ONCE
from schema.execution.runs import SLICE, TimeSlice


def spin(seconds: float) -> None:
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


def _slow_marks(pages: Sequence[Any], log: list[str]) -> list[str]:
    log.append(f"{len(pages)} built")
    spin(SLICE * 1.1)
    return [page.id for page in pages]


async def _unresolved(info: strawberry.Info[Any, None]) -> Any:
    raise AssertionError(f"{info.field_name} is derived, and was resolved")


@strawberry.type
class Page:
    id: str
    mark: str = strawberry.field(resolver=_unresolved, graphql_type=str, metadata=hinted(Derived(_slow_marks, needs=("id",))))


def loader(_context: Any, _columns: frozenset[str] | None) -> PagesLoader:
    async def load(ids: Collection[str]) -> Mapping[str, Any]:
        return {id: Page(id=id) for id in ids}  # type: ignore[call-arg]  # the other field has a resolver

    return load


@strawberry.type
class House:
    id: str
    page: Page = strawberry.field(resolver=_unresolved, graphql_type=Page, metadata=hinted(NestedPages(loader)))


@strawberry.type
class Street:
    houses: list[House]


@strawberry.type
class Query:
    @strawberry.field
    async def street(self, info: strawberry.Info[Any, None]) -> Street:  # noqa: ARG002 - compiled root fields pass it
        return Street(houses=[House(id=str(n)) for n in range(3 * PAGES_AT_ONCE)])  # type: ignore[call-arg]  # as above


async def test_what_waits_is_served_between_a_few_pages_and_the_next() -> None:
    log: list[str] = []
    engine = Engine(strawberry.Schema(Query), Limits())
    sent = Request("{ street { houses { page { mark } } } }", None, {})
    await engine.execute(sent, [])

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            log.append("others")

    task = asyncio.ensure_future(others())
    await asyncio.sleep(0)
    result = await engine.execute(sent, log)
    task.cancel()

    assert (result.served, result.errors, result.faults) == (Served.ROOT_FIELDS, [], ())
    built = [index for index, entry in enumerate(log) if entry == f"{PAGES_AT_ONCE} built"]
    assert len(built) == 3
    assert all("others" in log[start:end] for start, end in pairwise(built))


async def test_a_slice_that_is_over_gives_way_once_and_one_that_is_not_does_not() -> None:
    log: list[str] = []
    slice = TimeSlice()
    asyncio.get_running_loop().call_soon(log.append, "others")

    await slice.give_way()
    log.append("went on")
    spin(SLICE)
    await slice.give_way()
    log.append("went on again")
    await slice.give_way()

    assert log == ["went on", "others", "went on again"]


async def test_a_slice_begins_with_the_request() -> None:
    log: list[str] = []
    slice = TimeSlice()
    asyncio.get_running_loop().call_soon(log.append, "others")

    spin(SLICE)
    await slice.give_way()

    assert log == ["others"]

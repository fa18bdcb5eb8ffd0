"""Pages below objects: their arguments are coerced once for a request, however many parents there are, whatever serves them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry

from schema.execution.engine import Engine, Request, Result, Served
from schema.execution.hints import NestedPages, PagesLoader, hinted
from schema.execution.limits import Limits
from tests.asking import Ask
from tests.world import PENDING

CONVERTED: list[str] = []


@strawberry.input
class Mark:
    text: str

    def __post_init__(self) -> None:
        CONVERTED.append(self.text)


@dataclass
class Context:
    """Keeps the IDs of each load."""

    loads: list[list[str]] = field(default_factory=list)


@strawberry.type
class Page:
    mark: str


def loader(context: Context, _columns: frozenset[str] | None, marks: list[Mark]) -> PagesLoader:
    texts = [mark.text for mark in marks]
    if "broken" in texts:
        raise LookupError("no such mark")

    async def load(ids: Collection[str]) -> Mapping[str, Any]:
        context.loads.append(sorted(ids))
        return {id: Page(mark=f"{id} {' '.join(texts)}") for id in ids}

    return load


async def standard(root: strawberry.Parent[Any], info: strawberry.Info[Context, None], marks: list[Mark]) -> Page:
    pages = await loader(info.context, None, marks)((root.id,))
    page: Page = pages[root.id]
    return page


def _unplanned(root: strawberry.Parent[Any]) -> str:
    return str(root.id)


@strawberry.type
class House:
    id: str
    page: Page = strawberry.field(resolver=standard, metadata=hinted(NestedPages(loader)))
    unplanned: str = strawberry.field(resolver=_unplanned)


@strawberry.type
class Street:
    houses: list[House]


@strawberry.type
class Query:
    @strawberry.field
    async def street(self, info: strawberry.Info[Context, None]) -> Street | None:
        assert info.context
        return Street(houses=[House(id=id) for id in "abc"])


SCHEMA = strawberry.Schema(query=Query)


async def run(document: str, variables: dict[str, Any]) -> tuple[Result, Context]:
    context, engine = Context(), Engine(SCHEMA, Limits())
    # What is coerced once for the document is no matter here.
    await engine.execute(Request(document, None, variables), Context())
    CONVERTED.clear()
    result = await engine.execute(Request(document, None, variables), context)
    assert result.faults == ()
    return result, context


SERVED = {
    "query ($m: [Mark!]!) { street { houses { page(marks: $m) { mark } } } }": Served.ROOT_FIELDS,
    "query ($m: Mark!) { street { houses { page(marks: [$m]) { mark } } } }": Served.PLANS,
    "query ($m: Mark!) { street { houses { unplanned page(marks: [$m]) { mark } } } }": Served.PLANS,
}


@pytest.mark.parametrize("document", SERVED)
async def test_arguments_are_coerced_once_for_all_parents(document: str) -> None:
    result, context = await run(document, {"m": {"text": "x"}})

    assert result.data is not None
    assert [house["page"] for house in result.data["street"]["houses"]] == [{"mark": "a x"}, {"mark": "b x"}, {"mark": "c x"}]
    assert (result.served, CONVERTED) == (SERVED[document], ["x"])
    assert context.loads == [["a", "b", "c"]]


@pytest.mark.parametrize("field", ["page(marks: [$m]) { mark }", "unplanned page(marks: [$m]) { mark }"])
async def test_arguments_that_are_refused_are_coerced_once_for_all_parents(field: str) -> None:
    result, context = await run(f"query ($m: Mark!) {{ street {{ houses {{ {field} }} }} }}", {"m": {"text": "broken"}})

    assert result.data == {"street": None}
    assert {error.message for error in result.errors} == {"no such mark"}
    assert [error.path for error in result.errors] == [["street", "houses", 0, "page"]]
    assert (CONVERTED, context.loads) == (["broken"], [])


CHANGES = """mutation ($id: ID!) {
  a: updateHomeVisit(input: { id: $id, notes: "moved" }) { ...Updated }
  b: updateHomeVisit(input: { id: $id, notes: "moved again" }) { ...Updated }
}
fragment Updated on UpdateHomeVisitSuccess {
  homeVisit { location { homeVisits(filter: { ids: [$id] }) { nodes { notes } } } }
}"""


async def test_pages_below_a_change_show_what_it_changed(ask: Ask) -> None:
    data = await ask.data(CHANGES, {"id": PENDING})

    notes = [data[key]["homeVisit"]["location"]["homeVisits"]["nodes"] for key in "ab"]
    assert notes == [[{"notes": "moved"}], [{"notes": "moved again"}]]

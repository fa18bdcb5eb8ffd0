"""What is kept of the forms in which clients ask: bounded in number and in bytes, whatever they send."""

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from schema.enums import HomeVisitOrderField
from storage import references as references_module
from storage.database import Database
from storage.errors import InvalidPage
from storage.models import User
from storage.queries import conditions as conditions_module
from storage.queries import counts, listing
from storage.queries.conditions import HomeVisitFilter, conditions
from storage.queries.paging import Window
from storage.references import References
from storage.repository import HomeVisits
from storage.sqlite.dialect import DIALECT
from tests.memory import kept_memory
from tests.storage.homes import ALICE, BOB, EVERYTHING, REID, ROWAN, WILLOW, keep

FIRST_TEN = Window.of(None, None, None, None)
EVERY_CONDITION: HomeVisitFilter = {
    "ids": [REID, ALICE],
    "care_enquiry": [REID, ALICE],
    "location": [WILLOW, ROWAN],
    "assigned_to": [ALICE, BOB],
    "service_user_contact": [REID, ALICE],
    "host": ["NURSE", "OTHER"],
    "visit_type": ["VIRTUAL", "OTHER"],
    "anonymized": False,
    "cancelled": True,
    "completed": False,
    "start_date": date(2024, 1, 1),
    "end_date": date(2024, 12, 31),
    "modified_after": datetime(2024, 1, 1, tzinfo=UTC),
    "modified_before": datetime(2025, 1, 1, tzinfo=UTC),
    "keyword": "stairs",
}
CACHES = (listing.page, listing.beyond_cursors, listing.one, listing.record, counts.count)


@pytest.fixture(autouse=True)
def empty_caches() -> Iterator[None]:
    every = (*CACHES, listing._canonical_order, listing._order_by_one, conditions_module._cached_scope)
    for cache in every:
        cache.cache_clear()
    yield
    for cache in every:
        cache.cache_clear()


ORDERED = [field.value for field in HomeVisitOrderField]


async def test_a_thousand_lists_of_order_keys_are_kept_as_the_few_orders_that_there_are(visits: HomeVisits) -> None:
    lists = itertools.product(itertools.product(ORDERED, (True, False)), repeat=8)

    with kept_memory() as kept:
        for keys in itertools.islice(lists, 0, 8**8, 8**8 // 1_000):
            listing.order_of(keys)

        for key in itertools.product(ORDERED, (True, False)):
            listing.order_of([key])

    assert 50 < listing._canonical_order.cache_info().currsize <= 158
    assert listing._order_by_one.cache_info().currsize == 2 * len(ORDERED)
    assert kept.bytes < 200_000


async def test_more_order_keys_than_there_is_use_for_are_refused_and_nothing_is_kept_of_them(visits: HomeVisits) -> None:
    message = "`orderBy` may have at most 8 keys: this one has 9. Leave out repeated fields."

    for read in (
        visits.page({}, [("date_time", False)] * 9, FIRST_TEN),
        visits.pages("location", [WILLOW], {}, [("date_time", False)] * 9, FIRST_TEN),
    ):
        with pytest.raises(InvalidPage) as refusal:
            await read
        assert str(refusal.value) == message
    assert listing._canonical_order.cache_info().currsize == 0
    assert (await visits.page({}, [("date_time", False)] * 8, FIRST_TEN)).nodes == []


def test_the_same_conditions_have_the_same_shape_in_whatever_order_they_are_sent() -> None:
    names: list[str] = list(EVERY_CONDITION)
    turned = [{name: EVERY_CONDITION[name] for name in names[at:] + names[:at]} for at in range(len(names))]  # type: ignore[literal-required]  # a name of it

    assert len({conditions(filter, [WILLOW], DIALECT).shape for filter in turned}) == 1  # type: ignore[arg-type]  # a filter


def test_of_a_thousand_shapes_no_more_are_kept_compiled_than_fit() -> None:
    chosen = itertools.chain.from_iterable(itertools.combinations(listing.COLUMNS, length) for length in range(16))
    for columns in itertools.islice(chosen, 1_000):
        shape = listing.Shape((), (("id", False),), columns=frozenset(columns))
        listing.page(DIALECT, shape)
        listing.one(DIALECT, (("ids", "one"),), frozenset(columns))

    assert [cache.cache_info().maxsize for cache in CACHES] == [listing.SHAPES] * len(CACHES)
    assert [cache.cache_info().currsize for cache in (listing.page, listing.one, listing.record)] == [listing.SHAPES] * 3


def test_the_dearest_shape_is_kept_in_64_kilobytes() -> None:
    where = conditions(EVERY_CONDITION, [WILLOW, ROWAN], DIALECT)
    order = listing.order_of([("date_time", False), ("created", True), ("modified", False)]).keys
    shapes = [listing.Shape(where.shape, order, after=True, before=True, parent=parent) for parent in (None, "location")]
    for shape in shapes:  # what SQLAlchemy keeps for good
        listing.page.__wrapped__(DIALECT, shape)

    with kept_memory() as kept:
        listing.page(DIALECT, shapes[0])
        listing.beyond_cursors(DIALECT, shapes[0])
        counts.count(DIALECT, shapes[0])

    assert kept.bytes < 64 * 1024


@pytest.mark.parametrize(("size", "scopes"), [(50, conditions_module.SCOPES), (51, 0)])
def test_the_scopes_of_callers_with_many_locations_are_not_kept(size: int, scopes: int) -> None:
    with kept_memory() as kept:
        for number in range(1_000):
            locations = frozenset(f"{number:012x}{location:012x}" for location in range(size))
            (part,) = conditions({}, locations, DIALECT).shape
            assert part[0] == "scope"

    assert conditions_module._cached_scope.cache_info().currsize == scopes
    assert kept.bytes < scopes * 15_000 + 50_000


async def test_records_with_long_texts_are_not_cached(database: Database) -> None:
    await keep(database, *(User(id=f"{number:024x}", first_name="x" * (1_000 - 24 + number)) for number in range(2)))
    references = References(database, EVERYTHING, "Europe/London")
    ids = [f"{number:024x}" for number in range(2)]

    read = await references.load_referenced("user", ids)

    assert (list(read), list(references.cached("user", ids))) == (ids, ids[:1])


async def test_more_records_than_fit_are_not_cached_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references_module, "CACHED", 1)
    references = References(database, EVERYTHING, "Europe/London")

    assert len(await references.load_referenced("user", [ALICE, BOB])) == 2
    assert references.cached("user", [ALICE, BOB]) == {}

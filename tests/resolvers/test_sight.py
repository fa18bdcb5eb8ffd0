"""What is answered is what the caller may see: random worlds, callers and questions, held against a model."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.caller import Caller, Role
from tests.asking import Ask, engine
from tests.databases import copied, database_at, migrate
from tests.resolvers import sight
from tests.resolvers.sight import BY_ID, LISTED, PEOPLE, Sight, sights
from tests.schema.execution.oracle import LOOSE

ENGINES = {planned: engine(planned=planned, limits=LOOSE) for planned in (True, False)}
PROPERTY = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    migrate(path)
    return path


IDS = st.lists(st.sampled_from([*sight.LOCATIONS, *sight.USERS, *sight.ENQUIRIES, *sight.CONTACTS, *sight.VISITS]), max_size=6)
LOCATIONS = st.none() | st.lists(st.sampled_from([*sight.LOCATIONS, sight.NOBODY]), max_size=3)
CHANGED = st.tuples(st.sampled_from(["cancel", "complete", "update"]), st.sampled_from([*sight.VISITS, sight.NOBODY]))


def check(drawn: Sight, ids: list[str], locations: list[str] | None, change: tuple[str, str], planned: bool, path: Path) -> None:
    drawn.keep(path)

    async def ask_all() -> None:
        database = await database_at(path).open()
        try:
            ask = Ask(database, ENGINES[planned])
            caller = Caller("someone", frozenset({Role.COORDINATOR}), drawn.scope)
            for id in ids:
                assert await ask.data(BY_ID, {"id": id}, caller=caller) == drawn.by_id(id)
            assert await ask.data(LISTED, {"filter": {"location": locations}}, caller=caller) == drawn.listed(locations)
            for chosen, order in ((None, "ASC"), (ids, "DESC")):
                variables = {"ids": chosen, "locations": locations, "order": order}
                assert await ask.data(PEOPLE, variables, caller=caller) == drawn.people(chosen, locations, order)
            await require_changed(ask, caller, drawn, *change)
        finally:
            await database.close()

    asyncio.run(ask_all())


async def require_changed(ask: Ask, caller: Caller, drawn: Sight, change: str, id: str) -> None:
    """Change a visit, and book for its enquiry."""
    name, type = f"{change}HomeVisit", f"{change.title()}HomeVisit"
    selection = f"... on {type}Success {{ homeVisit {{ ...OfVisit }} }} ... on HomeVisitNotPendingError {{ homeVisit {{ id }} }}"
    document = f"mutation ($input: {type}Input!) {{ {name}(input: $input) {{ __typename {selection} }} }} {sight.FRAGMENTS}"

    result = (await ask.data(document, {"input": {"id": id}}, caller=caller))[name]

    visit = next((one for one in drawn.seen if one.id == id), None)
    if visit is None:
        assert result == {"__typename": "HomeVisitNotFoundError"}
    elif visit.cancelled or visit.completed:
        assert result == {"__typename": "HomeVisitNotPendingError", "homeVisit": {"id": id}}
    else:
        assert result == {"__typename": f"{type}Success", "homeVisit": drawn.of_visit(visit)}
    await require_booked(ask, caller, drawn, visit.care_enquiry if visit else sight.ENQUIRIES[0])


async def require_booked(ask: Ask, caller: Caller, drawn: Sight, enquiry: str) -> None:
    selection = "... on BookHomeVisitSuccess { homeVisit { location { id } } } ... on InvalidInputError { problems { code } }"
    document = f"mutation ($input: BookHomeVisitInput!) {{ bookHomeVisit(input: $input) {{ __typename {selection} }} }}"
    input = {"careEnquiry": enquiry, "dateTime": "2024-11-20T14:00:00Z", "host": "OTHER", "visitType": "VIRTUAL"}

    result = (await ask.data(document, {"input": input}, caller=caller))["bookHomeVisit"]

    location = drawn.enquiries[enquiry].location
    if location is not None and drawn.has(location):
        assert result == {"__typename": "BookHomeVisitSuccess", "homeVisit": {"location": {"id": location}}}
    else:
        code = "REQUIRED" if drawn.scope is None else "NOT_FOUND"
        assert result == {"__typename": "InvalidInputError", "problems": [{"code": code}]}


@settings(PROPERTY, max_examples=30)
@given(sights(), IDS, LOCATIONS, CHANGED, st.booleans())
def test_what_is_answered_is_what_the_caller_may_see(
    empty_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    drawn: Sight,
    ids: list[str],
    locations: list[str] | None,
    change: tuple[str, str],
    planned: bool,
) -> None:
    path = copied(empty_file, tmp_path_factory.mktemp("drawn") / "drawn.db")

    check(drawn, ids, locations, change, planned, path)


@pytest.mark.slow
@settings(PROPERTY, max_examples=300)
@given(sights(), IDS, LOCATIONS, CHANGED, st.booleans())
def test_what_is_answered_is_what_the_caller_may_see_in_hundreds_of_worlds(
    empty_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    drawn: Sight,
    ids: list[str],
    locations: list[str] | None,
    change: tuple[str, str],
    planned: bool,
) -> None:
    path = copied(empty_file, tmp_path_factory.mktemp("drawn") / "drawn.db")

    check(drawn, ids, locations, change, planned, path)

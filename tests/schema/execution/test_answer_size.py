"""Answers have a size: their bytes are counted while they are built, and one that is longer than may be is refused whole."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.execution.engine import Request, Result
from schema.execution.limits import Limits
from schema.execution.sizes import AnswerSize, AnswerTooLarge, sizes
from storage.database import Database
from tests import world
from tests.asking import Ask, engine
from tests.databases import copied, path_of, url_of
from tests.inspection import inspect
from tests.schema.execution import monstrous

ROW = "id status dateTime notes version anonymized allowedOperations location { id name } careEnquiry { id }"
LONG = "\\u0001" * 50
ALIASES = " ".join(f"n{n}: notes" for n in range(28))

DOCUMENTS = {
    "a page": f"{{ homeVisits(first: 9) {{ nodes {{ {ROW} }} pageInfo {{ endCursor hasNextPage }} totalCount }} }}",
    "a page with edges": f"{{ homeVisits(first: 9) {{ edges {{ cursor node {{ {ROW} }} }} }} }}",
    "aliases": f"{{ homeVisits(first: 9) {{ nodes {{ {ALIASES} }} }} }}",
    "an empty page": "{ homeVisits(first: 0) { nodes { id } edges { cursor } } }",
    "a visit": f'{{ homeVisit(id: "{world.PENDING}") {{ {ROW} }} }}',
    "nothing": f'{{ homeVisit(id: "{world.UNKNOWN}") {{ {ROW} }} }}',
    "several root fields": f'{{ viewer {{ subject roles locations {{ name }} }} homeVisit(id: "{world.PENDING}") {{ notes }} }}',
    "pages of what it refers to": f"""{{ homeVisits {{ nodes {{ location {{ name
        homeVisits(first: 3) {{ nodes {{ {ROW} }} }} }} }} }} }}""",
    "pages in pages": """{ homeVisits { nodes { location { homeVisits(first: 2) { nodes { notes
        careEnquiry { homeVisits { nodes { notes location { name email } } } } } } } } } }""",
    "a list by a plan in the executor": f"""query ($status: HomeVisitStatus = PENDING) {{
        homeVisits(filter: {{ status: [$status] }}) {{ nodes {{ {ROW} }} pageInfo {{ endCursor }} }} viewer {{ subject }} }}""",
    "a node": f'{{ node(id: "{world.PENDING}") {{ __typename ... on HomeVisit {{ {ROW} }} }} }}',
    "introspection": '{ __type(name: "HomeVisit") { name description fields { name description } } }',
}


async def answered(ask: Ask, document: str, allowed: int, *, planned: bool) -> Result:
    limits, faults = Limits(answer_bytes=allowed), list[Exception]()
    result = await engine(planned=planned, limits=limits).execute(Request(document, None, {}), ask.context(), faults)
    assert faults == []
    return result


@pytest.fixture
def long_notes(database: Database) -> None:
    """Give some visits notes of what takes six bytes a letter, of letters of several bytes, and of quotes."""
    path = path_of(database)
    inspect(path).execute(
        f"""UPDATE home_visits SET notes = '{chr(1) * 40}' WHERE id LIKE '%1';
        UPDATE home_visits SET notes = 'Grüße 👋 "quoted" \\ \n' WHERE id LIKE '%2'"""  # noqa: S608 - ours
    )


@pytest.mark.usefixtures("long_notes")
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
async def test_an_answer_of_as_many_bytes_as_may_be_is_served_and_a_longer_one_is_refused_whole(ask: Ask, document: str) -> None:
    planned = ask.engine._planned
    whole = await answered(ask, document, 10**9, planned=planned)
    length = len(orjson.dumps(whole.data))

    at_the_limit = await answered(ask, document, length, planned=planned)
    beyond = await answered(ask, document, length - 1, planned=planned)

    assert (whole.errors, whole.served) == (at_the_limit.errors, at_the_limit.served) == ([], at_the_limit.served)
    assert at_the_limit.data == whole.data
    assert (beyond.data, beyond.executed, beyond.cost) == (None, False, whole.cost)
    (error,) = beyond.errors
    allowed = length - 1
    assert error.extensions == {"code": "QUERY_TOO_COMPLEX", "limit": "answer_bytes", "allowed": allowed, "asked": length}
    assert error.message == f"The answer has more than {allowed:,} bytes. Ask for smaller pages, or for fewer long texts."


@pytest.mark.parametrize("planned", [True, False])
async def test_a_mutation_whose_answer_is_too_long_was_executed(ask: Ask, planned: bool) -> None:
    document = f"""mutation {{ cancelHomeVisit(input: {{ id: "{world.PENDING}" }}) {{
        ... on CancelHomeVisitSuccess {{ homeVisit {{ {ALIASES} }} }} }} }}"""

    result = await answered(ask, document, 10, planned=planned)

    assert (result.data, result.executed) == (None, True)
    assert [error.extensions for error in result.errors] == [
        {"code": "QUERY_TOO_COMPLEX", "limit": "answer_bytes", "allowed": 10, "asked": 11}
    ]
    assert await ask.data(f'{{ homeVisit(id: "{world.PENDING}") {{ status }} }}') == {"homeVisit": {"status": "CANCELLED"}}


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
)


@given(VALUES)
def test_the_size_of_a_value_is_the_length_of_its_json(value: Any) -> None:
    assert sum(sizes(value)) == len(orjson.dumps(value))


def test_what_is_measured_once_is_not_measured_again() -> None:
    measured: list[int] = []

    def measure(bytes: int) -> list[int]:
        measured.append(bytes)
        return [bytes]

    size = AnswerSize(10)
    for bytes, bound in ((3, 6), (3, 6), (4, 6)):
        size.bounds += bound
        size.pending.append((measure, (bytes,)))
        if size.bounds > size.ceiling:
            size.measure()
    assert measured == [3, 3, 4]

    size.pending.append((measure, (1,)))
    with pytest.raises(AnswerTooLarge):
        size.measure()


@pytest.mark.parametrize("mode", ["planned", "standard"])
def test_a_monstrous_answer_is_refused_before_it_takes_memory(world_file: Path, tmp_path: Path, mode: str) -> None:
    path = copied(world_file, tmp_path / "home_visits.db")
    monstrous.fill(path)

    run = subprocess.run(
        [sys.executable, "-m", "tests.schema.execution.monstrous", url_of(path), mode], capture_output=True, text=True, check=True
    )

    print(run.stdout)
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(name, limits, is_null) for name, limits, is_null, _ in outcomes] == [
        (name, ["answer_bytes"], True) for name in monstrous.DOCUMENTS
    ]
    assert max(kilobytes for *_, kilobytes in outcomes) < 60_000

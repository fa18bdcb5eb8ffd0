"""A request that is cancelled, or a part of it for a field that failed, leaves nothing behind that is never awaited."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from storage.database import Database
from tests.asking import Ask, engine
from tests.databases import copied, database_at
from tests.schema.execution.oracle import spoil

LEAVES = "location { name } careEnquiry { careSeeker { lastName } } serviceUserContact { id } assignedTo { firstName }"
PAGE_BELOW = "location { homeVisits(first: 2) { totalCount nodes { id assignedTo { id } } } }"
FAILING_BELOW = 'location { a: homeVisits(first: 1) { totalCount } b: homeVisits(first: 1, after: "nonsense") { totalCount } }'
DOCUMENTS = {
    "root fields": f"{{ a: homeVisits(first: 3) {{ nodes {{ {LEAVES} }} }} b: homeVisits(first: 2) {{ totalCount }} }}",
    "pages below": f"{{ homeVisits(first: 4) {{ nodes {{ {PAGE_BELOW} }} }} }}",
    "edges": f"{{ homeVisits(first: 4) {{ edges {{ cursor node {{ {LEAVES} {PAGE_BELOW} }} }} }} }}",
    "failing": f"{{ homeVisits(first: 4) {{ nodes {{ {FAILING_BELOW} }} }} }}",
}
TURNS = 60


@pytest.fixture(params=["whole", "with lost references"])
async def database(request: pytest.FixtureRequest, world_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    path = copied(world_file, tmp_path / "home_visits.db")
    spoil(path, request.param)
    database = await database_at(path).open()
    yield database
    await database.close()


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
async def test_nothing_is_left_that_is_never_awaited(database: Database, document: str, planned: bool) -> None:
    ask, ends = Ask(database, engine(planned=planned)), set()

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for turns in range(TURNS):
            execution = asyncio.ensure_future(ask(document))
            for _ in range(turns):
                await asyncio.sleep(0)
            execution.cancel()
            with suppress(asyncio.CancelledError):
                await execution
            ends.add(execution.cancelled())
            del execution
        whole = await ask(document)
        gc.collect()

    assert not [str(warning.message) for warning in warned]
    assert True in ends
    # It was executed: what fails, fails in a field.
    assert all("path" in error for error in whole.errors)

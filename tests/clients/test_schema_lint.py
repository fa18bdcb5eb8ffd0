"""The schema keeps the rules that its clients rely on, and takes nothing away from those that were generated from a release."""

import shutil

import pytest

from tests.clients.bench import PutOnBench
from tests.scripts import last_release

pytestmark = pytest.mark.slow

SCHEMA = "schema/schema.graphql"
RELEASED = "tests/clients/lint/released.graphql"


async def test_the_schema_and_the_documents_of_the_examples_keep_every_rule(put_on_bench: PutOnBench) -> None:
    bench = await put_on_bench("lint")

    linted = await bench.run("npm run --silent lint")

    assert (linted.code, linted.out, linted.err) == (0, "", "")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("type Viewer {", "type Viewer {\n  name: String", 'Description is required for field "name" in type "Viewer"'),
        ("hasNextPage: Boolean!", "hasNextPage: Boolean", "Field `hasNextPage` must return non-null Boolean"),
        ("): CancelHomeVisitResult", "): CancelHomeVisitResult!", "A mutation is nullable"),
    ],
    ids=["an undescribed field", "a nullable flag of a page", "a mutation that is not nullable"],
)
async def test_a_broken_rule_is_told(old: str, new: str, complaint: str, put_on_bench: PutOnBench) -> None:
    bench = await put_on_bench("lint")
    bench.replace(SCHEMA, old, new)

    linted = await bench.run("npm run --silent lint")

    assert linted.code == 1
    assert complaint in linted.out


async def test_no_client_generated_from_the_last_release_is_broken(put_on_bench: PutOnBench) -> None:
    bench = await put_on_bench("lint")
    (bench.root / RELEASED).write_text(last_release().sdl)

    compared = await bench.run("npm run --silent compare")

    assert compared.code == 0, compared.out + compared.err


async def test_a_field_taken_away_since_the_release_is_told(put_on_bench: PutOnBench) -> None:
    bench = await put_on_bench("lint")
    shutil.copy(bench.root / SCHEMA, bench.root / RELEASED)
    bench.replace(SCHEMA, "allowedOperations: ", "operations: ")

    compared = await bench.run("npm run --silent compare")

    assert compared.code == 1
    assert "Field allowedOperations was removed from object type HomeVisit" in compared.out

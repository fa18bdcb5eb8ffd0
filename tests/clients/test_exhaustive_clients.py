"""A client that handles every refusal by its type cannot forget one: its type check says so."""

import pytest

from tests.clients.bench import PutOnBench
from tests.clients.examples import ARIADNE, CODEGEN, Example

pytestmark = pytest.mark.slow

SCHEMA = "schema/schema.graphql"


@pytest.mark.parametrize(
    ("example", "file", "case", "complaint"),
    [
        pytest.param(CODEGEN, "say.ts", '    case "VersionConflictError":\n', "of type 'never'", id="codegen"),
        pytest.param(ARIADNE, "say.py", ' | "VersionConflictError"', 'expected "Never"', id="ariadne"),
    ],
)
async def test_a_refusal_that_a_client_does_not_handle_fails_its_type_check(
    example: Example, file: str, case: str, complaint: str, put_on_bench: PutOnBench
) -> None:
    bench = await put_on_bench(example.folder)
    await bench.succeed(example.generate)
    await bench.succeed(example.check)

    bench.replace(f"tests/clients/{example.folder}/{file}", case, "")
    checked = await bench.run(example.check)

    assert checked.code != 0
    assert complaint in checked.out


@pytest.mark.parametrize(
    ("example", "complaint"),
    [
        pytest.param(CODEGEN, "of type 'never'", id="codegen"),
        pytest.param(ARIADNE, 'expected "Never"', id="ariadne"),
    ],
)
async def test_a_refusal_that_the_schema_gains_fails_the_type_check_of_a_client(
    example: Example, complaint: str, put_on_bench: PutOnBench
) -> None:
    bench = await put_on_bench(example.folder)
    gained = "type HomeVisitLockedError implements UserError { message: String! }\n"
    bench.replace(SCHEMA, "union CancelHomeVisitResult =", gained + "union CancelHomeVisitResult = HomeVisitLockedError |")

    await bench.succeed(example.generate)
    checked = await bench.run(example.check)

    assert checked.code != 0
    assert complaint in checked.out

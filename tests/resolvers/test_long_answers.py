"""What a mutation is told whose answer is too long to be sent: which of its changes are saved."""

from typing import Any

import pytest

from schema.execution.limits import Limits
from tests import world
from tests.asking import Ask, engine
from tests.resolvers.changing import BOOKING

INPUTS: dict[str, dict[str, Any]] = {
    "bookHomeVisit": BOOKING,
    "updateHomeVisit": {"id": world.PENDING, "notes": "New."},
    "cancelHomeVisit": {"id": world.PENDING},
    "completeHomeVisit": {"id": world.PENDING},
}
TOO_LONG = {"code": "QUERY_TOO_COMPLEX", "requestId": "the-request", "limit": "answer_bytes", "allowed": 10, "asked": 11}


@pytest.fixture
def tight(ask: Ask) -> Ask:
    """Ask where an answer may have ten bytes."""
    return Ask(ask.database, engine(planned=ask.engine._planned, limits=Limits(answer_bytes=10)))


def document(name: str) -> str:
    type = name[0].upper() + name[1:]
    return f"mutation ($input: {type}Input!) {{ mine: {name}(input: $input) {{ __typename }} }}"


@pytest.mark.parametrize("name", INPUTS)
async def test_what_was_changed_is_said_to_be_saved(tight: Ask, name: str) -> None:
    response = await tight(document(name), {"input": INPUTS[name]})

    assert (response.data, response.written) == (None, 1)
    saved = "Done and saved: mine. Do not send it again, but read the visit."
    assert response.errors == [
        {
            "message": f"The answer has more than 10 bytes. {saved}",
            "extensions": {**TOO_LONG, "committed": True, "committedFields": ["mine"]},
        }
    ]


@pytest.mark.parametrize("name", ["updateHomeVisit", "cancelHomeVisit", "completeHomeVisit"])
async def test_where_all_was_refused_nothing_is_said_to_be_changed(tight: Ask, name: str) -> None:
    response = await tight(document(name), {"input": {**INPUTS[name], "id": world.CANCELLED}})

    assert (response.data, response.written) == (None, 0)
    nothing = "Nothing was changed. Ask for smaller pages, or for fewer long texts."
    assert response.errors == [{"message": f"The answer has more than 10 bytes. {nothing}", "extensions": TOO_LONG}]

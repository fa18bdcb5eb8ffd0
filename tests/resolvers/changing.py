"""How tests ask for a change, and hold a refused one to having changed nothing."""

from typing import Any

from graphql import GraphQLUnionType

from schema.execution.internals import core_schema
from storage.database import Database
from tests import world
from tests.asking import Ask, schema
from tests.databases import path_of
from tests.inspection import inspect
from tests.world import FOR_WILLOWS

VISIT = "id status version modified"
REFUSALS = {
    "HomeVisitNotFoundError": "homeVisitId",
    "HomeVisitNotPendingError": f"homeVisit {{ {VISIT} notes careEnquiry {{ careSeeker {{ firstName }} }} }}",
    "VersionConflictError": f"homeVisit {{ {VISIT} }}",
    "IdempotencyConflictError": "idempotencyKey",
    "InvalidInputError": "problems { path code message }",
}
NO_USER = "No user with this ID exists, or you may not see them. Check the ID."
BOOKING = {"careEnquiry": FOR_WILLOWS, "dateTime": "2024-11-20T15:00:00+01:00", "host": "NURSE", "visitType": "VIRTUAL"}


def mutation(name: str, selection: str = VISIT) -> str:
    """Return a document that selects the success, and all that each possible error tells."""
    type = name[0].upper() + name[1:]
    union = core_schema(schema()).get_type(f"{type}Result")
    assert isinstance(union, GraphQLUnionType)
    selections = {f"{type}Success": f"homeVisit {{ {selection} }}"} | {
        error: f"message {fields}" for error, fields in REFUSALS.items()
    }
    parts = " ".join(f"... on {member.name} {{ {selections[member.name]} }}" for member in union.types)
    return f"mutation ($input: {type}Input!) {{ {name}(input: $input) {{ __typename {parts} }} }}"


async def change(ask: Ask, name: str, input: dict[str, Any], selection: str = VISIT) -> Any:
    """Return the result of a change that was committed."""
    response = await ask(mutation(name, selection), {"input": input})
    assert (response.errors, response.written) == ([], 1)
    return response.data[name]


async def refused(ask: Ask, name: str, input: dict[str, Any], caller: world.Caller = world.EVERYBODY) -> Any:
    """Return the result of a change that has changed nothing."""
    before = everything(ask.database)
    response = await ask(mutation(name), {"input": input}, caller=caller)
    assert (response.errors, response.written) == ([], 0)
    assert everything(ask.database) == before
    return response.data[name]


def everything(database: Database) -> dict[str, list[Any]]:
    return inspect(path_of(database)).everything()


def problem(path: str, code: str, message: str) -> dict[str, Any]:
    return {"path": ["input", path], "code": code, "message": message}

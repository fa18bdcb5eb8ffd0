"""Turns what storage refuses into typed results, and errors into what clients may see; everything unexpected is masked."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from graphql import GraphQLError
from strawberry import ID

from resolvers.outcomes import with_outcome
from schema import results
from schema.context import Context
from schema.enums import InputProblemCode
from schema.types import HomeVisit
from storage import errors, models
from storage.conflicts import Conflicts

T = TypeVar("T")

LONGEST = 500
MASKED = "Something went wrong on our side, and it has been noted. Try again; if it happens again, report the request ID."
UNAVAILABLE = "The visits cannot be reached for now. It has been noted: try again later, or report the request ID."
CODES: dict[type, str] = {
    errors.InvalidPage: "BAD_USER_INPUT",
    errors.DatabaseBusy: "OVERLOADED",
    errors.DatabaseFull: "STORAGE_UNAVAILABLE",
    errors.DatabaseUnusable: "STORAGE_UNAVAILABLE",
    errors.WriteInDoubt: "IN_DOUBT",
    errors.UpstreamInDoubt: "IN_DOUBT",
    errors.UpstreamUnavailable: "UPSTREAM_UNAVAILABLE",
    errors.NotHere: "BAD_USER_INPUT",
}


async def result_of(
    success: Callable[..., T], work: Awaitable[models.HomeVisit], *, conflicts: Conflicts | None = None
) -> T | Any:
    """Return the success type, with the conflicts that the work has read, or the typed result of the refusal."""
    try:
        visit = await work
        return success(home_visit=visit, conflicts=conflicts.visits) if conflicts else success(home_visit=visit)
    except errors.Refusal as refusal:
        return _result(refusal)


def _result(refusal: errors.Refusal) -> Any:
    message = str(refusal)
    match refusal:
        case errors.HomeVisitNotFound():
            return results.HomeVisitNotFoundError(message=message, home_visit_id=ID(refusal.home_visit_id))
        case errors.HomeVisitNotPending():
            return results.HomeVisitNotPendingError(message=message, home_visit=cast("HomeVisit", refusal.home_visit))
        case errors.VersionConflict():
            return results.VersionConflictError(message=message, home_visit=cast("HomeVisit", refusal.home_visit))
        case errors.IdempotencyConflict():
            return results.IdempotencyConflictError(message=message, idempotency_key=refusal.idempotency_key)
        case errors.InvalidInput():
            return results.InvalidInputError(message=message, problems=[_problem(problem) for problem in refusal.problems])
    raise refusal


def _problem(problem: errors.Problem) -> results.InputProblem:
    field = re.sub(r"(?<=\w)_(\w)", lambda part: part[1].upper(), problem.field)
    path = ["input", field] if field else ["input"]
    return results.InputProblem(path=path, code=InputProblemCode(problem.code), message=problem.message)


def unexpected(error: GraphQLError) -> Exception | None:
    """Return what went wrong where nobody refused anything: it must be logged, and never reach a client."""
    cause = error.original_error
    if "code" in (error.extensions or {}) or type(cause) in CODES:
        return None
    return cause if isinstance(cause, Exception) else error


def present(error: GraphQLError, request_id: str, context: Context | None = None) -> dict[str, Any]:
    """Return the error as clients see it: message, place, `extensions.code` and `extensions.requestId`.

    Of the changes that the request has started by then it says whether they were committed, and never to send those again.
    """
    extensions = {**(error.extensions or {}), "requestId": request_id}
    message = error.message
    if code := CODES.get(type(error.original_error)):
        # Why a database cannot be used is for its operators.
        is_unusable = type(error.original_error) is errors.DatabaseUnusable
        extensions["code"], message = code, UNAVAILABLE if is_unusable else str(error.original_error)
    elif unexpected(error):
        extensions, message = {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id}, MASKED
    if context is not None and context.changes:
        message, outcome = with_outcome(message, error.path, context.changes)
        extensions |= outcome
    # graphql-core repeats the literal it refuses, however long it is.
    presented: dict[str, Any] = {
        "message": message if len(message) <= LONGEST else message[:LONGEST] + "…",
        "extensions": extensions,
    }
    if error.locations:
        presented["locations"] = [location.formatted for location in error.locations]
    if error.path:
        presented["path"] = error.path
    return presented

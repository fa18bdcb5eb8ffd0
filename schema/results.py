"""What mutations answer: the success, or why nothing was changed."""

from typing import Annotated, Any

import strawberry
from strawberry import ID

from schema.enums import InputProblemCode
from schema.types import HomeVisit


def _field(description: str) -> Any:
    return strawberry.field(description=description)


def _conflicts() -> Any:
    return strawberry.field(
        default_factory=list,
        description="As `homeVisitConflicts` tells them of this visit, read in the transaction that wrote it, and only when "
        "selected. A booking that is answered again is told those of now, and none once the visit is no longer pending.",
    )


@strawberry.type(description="The visit has been booked.")
class BookHomeVisitSuccess:
    home_visit: HomeVisit = _field("The visit, as it is now.")
    conflicts: list[HomeVisit] = _conflicts()


@strawberry.type(description="The visit has been updated, or was as asked for already.")
class UpdateHomeVisitSuccess:
    home_visit: HomeVisit = _field("The visit, as it is now.")
    conflicts: list[HomeVisit] = _conflicts()


@strawberry.type(description="The visit has been cancelled.")
class CancelHomeVisitSuccess:
    home_visit: HomeVisit = _field("The visit, as it is now.")


@strawberry.type(description="The visit has been completed.")
class CompleteHomeVisitSuccess:
    home_visit: HomeVisit = _field("The visit, as it is now.")


@strawberry.interface(
    description="Why a mutation changed nothing, fit to show a user. Select `... on UserError { message }` to cover errors "
    "added later."
)
class UserError:
    message: str = _field("What is wrong and what to do about it, in plain English.")


@strawberry.type(description="No visit that the caller may see has this ID.")
class HomeVisitNotFoundError(UserError):
    home_visit_id: ID = _field("The ID that was asked for.")


@strawberry.type(description="The visit has been cancelled or completed. `homeVisit` is the visit as it is.")
class HomeVisitNotPendingError(UserError):
    home_visit: HomeVisit = _field("The visit, as it is now.")


@strawberry.type(description="The visit has changed since `expectedVersion`. `homeVisit` is the visit as it is.")
class VersionConflictError(UserError):
    home_visit: HomeVisit = _field("The visit, as it is now: show it, then try again with its version.")


@strawberry.type(description="The idempotency key was used before, with other input.")
class IdempotencyConflictError(UserError):
    idempotency_key: str = _field("The key that was used before.")


@strawberry.type(description="One refused value.")
class InputProblem:
    path: list[str] = _field('From the argument down: `["input", "careEnquiry"]`.')
    code: InputProblemCode = _field("Why the value was refused.")
    message: str = _field("What is wrong and what to do about it, in plain English.")


@strawberry.type(description="Values were refused: all of them, at once. Nothing was written.")
class InvalidInputError(UserError):
    problems: list[InputProblem] = _field("Every refused value.")


BookHomeVisitResult = Annotated[
    BookHomeVisitSuccess | InvalidInputError | IdempotencyConflictError,
    strawberry.union("BookHomeVisitResult", description="The booked visit, or why there is none."),
]
UpdateHomeVisitResult = Annotated[
    UpdateHomeVisitSuccess | HomeVisitNotFoundError | HomeVisitNotPendingError | VersionConflictError | InvalidInputError,
    strawberry.union("UpdateHomeVisitResult", description="The updated visit, or why it is unchanged."),
]
CancelHomeVisitResult = Annotated[
    CancelHomeVisitSuccess | HomeVisitNotFoundError | HomeVisitNotPendingError | VersionConflictError,
    strawberry.union("CancelHomeVisitResult", description="The cancelled visit, or why it is unchanged."),
]
CompleteHomeVisitResult = Annotated[
    CompleteHomeVisitSuccess | HomeVisitNotFoundError | HomeVisitNotPendingError | VersionConflictError,
    strawberry.union("CompleteHomeVisitResult", description="The completed visit, or why it is unchanged."),
]

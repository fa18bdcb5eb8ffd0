"""Writes: each root field once, with its input and what it does."""

from typing import Annotated, cast

import strawberry

from resolvers.errors import result_of
from resolvers.queries import require_permission
from schema import inputs, results
from schema.context import Info
from schema.execution.internals import selects
from storage.conflicts import Conflicts
from storage.repository import HomeVisits


def begin_change(info: Info) -> HomeVisits:
    """Return the repository to make one change with; raise Forbidden unless the caller may."""
    require_permission(info)
    return info.context.begin_change(str(info.path.key), info.field_name)


def _conflicts(info: Info) -> Conflicts | None:
    """Return what takes up the conflicts of a change, where they are selected."""
    return Conflicts() if selects(info, "conflicts") else None


@strawberry.type(
    description="Writes. Each returns a union: the success type, or a `UserError`. A null field means that neither can be told: "
    "`errors` says why. Where such an error has `extensions.committed: true`, the change is saved: do not send it again."
)
class Mutation:
    @strawberry.mutation(
        description="Book a home visit. Unless suppressed, and if possible, the care seeker is sent a confirmation email."
    )
    async def book_home_visit(
        self, info: Info, input: Annotated[inputs.BookHomeVisitInput, inputs.argument("The visit to book, and whom it is for.")]
    ) -> results.BookHomeVisitResult | None:
        conflicts = _conflicts(info)
        booked = begin_change(info).book(
            inputs.booking_of(input),
            suppress_confirmation=input.suppress_confirmation,
            idempotency_key=inputs.trimmed(input.idempotency_key),
            conflicts=conflicts,
        )
        return cast("results.BookHomeVisitResult", await result_of(results.BookHomeVisitSuccess, booked, conflicts=conflicts))

    @strawberry.mutation(
        description="Update a pending home visit. Unless suppressed, and if possible, a changed time is confirmed to the care "
        "seeker by email."
    )
    async def update_home_visit(
        self,
        info: Info,
        input: Annotated[inputs.UpdateHomeVisitInput, inputs.argument("Which visit, and what to change about it.")],
    ) -> results.UpdateHomeVisitResult | None:
        conflicts = _conflicts(info)
        updated = begin_change(info).update(
            inputs.trimmed(input.id),
            inputs.changes_of(input),
            suppress_confirmation=input.suppress_confirmation,
            expected_version=inputs.unset_to_none(input.expected_version),
            conflicts=conflicts,
        )
        return cast(
            "results.UpdateHomeVisitResult", await result_of(results.UpdateHomeVisitSuccess, updated, conflicts=conflicts)
        )

    @strawberry.mutation(
        description="Cancel a pending home visit. A confirmation that still waits is not sent any more, and no email tells of it "
        "unless `notifyCareSeeker` is set."
    )
    async def cancel_home_visit(
        self, info: Info, input: Annotated[inputs.CancelHomeVisitInput, inputs.argument("Which visit to cancel.")]
    ) -> results.CancelHomeVisitResult | None:
        cancelled = begin_change(info).cancel(
            inputs.trimmed(input.id),
            expected_version=inputs.unset_to_none(input.expected_version),
            notify_care_seeker=input.notify_care_seeker,
        )
        return cast("results.CancelHomeVisitResult", await result_of(results.CancelHomeVisitSuccess, cancelled))

    @strawberry.mutation(
        description="Complete a pending home visit: record that it took place. A confirmation that still waits is "
        "not sent any more."
    )
    async def complete_home_visit(
        self, info: Info, input: Annotated[inputs.CompleteHomeVisitInput, inputs.argument("Which visit to complete.")]
    ) -> results.CompleteHomeVisitResult | None:
        completed = begin_change(info).complete(
            inputs.trimmed(input.id), expected_version=inputs.unset_to_none(input.expected_version)
        )
        return cast("results.CompleteHomeVisitResult", await result_of(results.CompleteHomeVisitSuccess, completed))

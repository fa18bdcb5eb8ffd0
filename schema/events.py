"""What clients read of events: what happened to visits, and what changed about them."""

from datetime import datetime
from typing import Any, cast

import strawberry
from graphql import GraphQLError

from schema.context import Context, Info
from schema.enums import HomeVisitEventType
from schema.execution.hints import Derived, Reference, hinted
from schema.types import HomeVisit, Node, PageInfo, Parent, plain, source
from storage import models
from storage.events.field_changes import field_changes
from storage.queries.paging import cursors


def _visit_of_event(description: str) -> Any:
    async def home_visit(root: Parent, info: Info) -> HomeVisit:
        visits = await info.context.visits_loader(None)((root.home_visit,))
        if visits[root.home_visit] is None:
            # An import has moved it to another location since its event was read.
            message = "The visit is at a location by now that you do not see: leave its event out."
            raise GraphQLError(message, extensions={"code": "OUT_OF_SIGHT"})
        return cast("HomeVisit", visits[root.home_visit])

    hint = Reference(Context.visits_loader, "home_visit")
    return strawberry.field(resolver=home_visit, description=description, metadata=hinted(hint))


@strawberry.type(description="One field's change. What is personal, such as notes, is never repeated here: only that it changed.")
class FieldChange:
    field: str = plain("The API's name of it, such as `dateTime`.")
    before: str | None = plain("What it was. Instants as RFC 3339, references as IDs. Null: nothing, or personal.")
    after: str | None = plain("What it is since, in the same form.")


def _changes(root: Parent) -> list[FieldChange]:
    return cast("list[FieldChange]", field_changes((root,))[0])


@strawberry.type(description="One change of a visit, kept for good.")
class HomeVisitEvent(Node):
    is_type_of = source(models.HomeVisitEvent)

    sequence: int = plain(
        "Grows by one with each change in the system; each visit's changes follow one another, and nobody who has read further "
        "finds a smaller number later. A caller limited to some locations sees gaps."
    )
    at: datetime = plain("When the change was made.")
    actor: str = plain("The `viewer.subject` that made the change.")
    type: HomeVisitEventType = plain("What happened.")
    home_visit: HomeVisit = _visit_of_event("The visit as it is now.")
    version: int = plain("The version the change made.")
    changes: list[FieldChange] = strawberry.field(
        resolver=_changes,
        description="The fields that changed.",
        metadata=hinted(Derived(lambda events, _context: field_changes(events), ("changes",))),
    )


@strawberry.type(description="One event in a page.")
class HomeVisitEventEdge:
    node: HomeVisitEvent = plain("The event.")
    cursor: str = strawberry.field(
        description="Opaque; valid until the system is restored from a backup.",
        metadata=hinted(Derived(lambda edges, _context: cursors(edges))),
    )


@strawberry.type(
    description="A page of events. On an empty page `endCursor` is the `after` given, or where the first event will be, so that "
    "a follower never loses its place."
)
class HomeVisitEventConnection:
    edges: list[HomeVisitEventEdge] = plain("The events of the page with their cursors.")
    nodes: list[HomeVisitEvent] = plain("The nodes of `edges`, for clients that need no cursors.")
    page_info: PageInfo = plain("Where the page stands in the list.")

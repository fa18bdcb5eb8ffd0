"""Reads: each root field once, with its arguments and what it does."""

from typing import Annotated, Any, cast

import strawberry
from strawberry import ID, UNSET

from resolvers.auth import require
from schema.context import Info
from schema.enums import Role
from schema.events import HomeVisitEventConnection
from schema.execution.internals import columns_of, parent_type
from schema.inputs import (
    BY_ID,
    After,
    Before,
    EventFilter,
    Filter,
    First,
    Last,
    OrderBy,
    event_filter_of,
    filter_of,
    order_of,
    trimmed,
    window_of,
)
from schema.types import CareEnquiry, HomeVisit, HomeVisitConnection, Location, Node, User, Viewer
from storage.queries.references import Kind

Id = Annotated[ID, strawberry.argument(description="The ID of the object: 24 hexadecimal characters.")]


def require_permission(info: Info) -> None:
    """Raise Forbidden unless the caller may select this root field."""
    require(info.context.caller, (parent_type(info), info.field_name))


async def _load(info: Info, kind: Kind, id: str) -> Any:
    require_permission(info)
    return await info.context.load(kind, trimmed(id), by_id=True)


@strawberry.type(description="Reads.")
class Query:
    @strawberry.field(description="The home visit with this ID, or null where there is none that the caller may see.")
    async def home_visit(self, info: Info, id: Id) -> HomeVisit | None:
        require_permission(info)
        return cast("HomeVisit | None", await info.context.visits.get(trimmed(id), columns_of(info)))

    @strawberry.field(
        description="A page of home visits. `first`/`after` page forwards, `last`/`before` backwards; the first 10 by default, "
        "100 at most."
    )
    async def home_visits(
        self,
        info: Info,
        filter: Filter = UNSET,
        order_by: OrderBy = BY_ID,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> HomeVisitConnection:
        require_permission(info)
        window = window_of(first, after, last, before)
        columns = columns_of(info)
        page = await info.context.visits.page(filter_of(filter), order_of(order_by), window, columns)
        if columns is None:
            # Nothing counts the bytes of the answer before all of it is there.
            info.context.count_letters((page,))
        return cast("HomeVisitConnection", page)

    @strawberry.field(
        description="What happened to home visits, oldest first: keep `endCursor` and ask again to follow every change. "
        "`last: 1` finds the newest."
    )
    async def home_visit_events(
        self,
        info: Info,
        filter: EventFilter = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> HomeVisitEventConnection:
        require_permission(info)
        page = await info.context.events.page(event_filter_of(filter), window_of(first, after, last, before))
        return cast("HomeVisitEventConnection", page)

    @strawberry.field(description="The care enquiry with this ID, or null where there is none that the caller may see.")
    async def care_enquiry(self, info: Info, id: Id) -> CareEnquiry | None:
        return cast("CareEnquiry | None", await _load(info, "care_enquiry", id))

    @strawberry.field(description="The location with this ID, or null where there is none that the caller may see.")
    async def location(self, info: Info, id: Id) -> Location | None:
        return cast("Location | None", await _load(info, "location", id))

    @strawberry.field(description="The user with this ID, or null where there is none that the caller may see.")
    async def user(self, info: Info, id: Id) -> User | None:
        return cast("User | None", await _load(info, "user", id))

    @strawberry.field(
        description="The object with this ID, whatever its type, or null where there is none that the caller may see."
    )
    async def node(self, info: Info, id: Id) -> Node | None:
        require_permission(info)
        kinds: tuple[Kind, ...] = ("care_enquiry", "location", "user", "service_user_contact")
        id = trimmed(id)
        found: Any = await info.context.visits.get(id)
        for kind in kinds:
            found = found or await info.context.load(kind, id, by_id=True)
        found = found or await info.context.events.get(id)
        return cast("Node | None", found)

    @strawberry.field(description="Who is asking, and what they may do.")
    async def viewer(self, info: Info) -> Viewer:
        require_permission(info)
        caller = info.context.caller
        roles = [role for role in Role if role in caller.roles]
        locations = None
        if caller.locations is not None:
            ids = sorted(caller.locations)
            records = await info.context.load_many("location", ids, by_id=True)
            locations = [records[id] for id in ids if records[id] is not None]
        return Viewer(subject=caller.subject, roles=roles, locations=cast("list[Location] | None", locations))

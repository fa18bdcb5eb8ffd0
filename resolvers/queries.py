"""Reads: each root field once, with its arguments and what it does."""

from datetime import datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry import ID, UNSET

from resolvers.auth import require
from schema.context import Info
from schema.counts import HomeVisitCount
from schema.enums import HomeVisitGrouping, Role, SourceKind, VisitHost
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
    argument,
    event_filter_of,
    filter_of,
    order_of,
    trimmed,
    unset_to_none,
    window_of,
)
from schema.people_inputs import (
    LOCATIONS_BY_NAME,
    NEWEST_FIRST,
    USERS_BY_NAME,
    CareEnquiries,
    Locations,
    OrderCareEnquiries,
    OrderLocations,
    OrderUsers,
    Users,
    people_filter_of,
    people_order_of,
    user_filter_of,
)
from schema.people_pages import CareEnquiryConnection, LocationConnection, UserConnection
from schema.scalars import TimeZone
from schema.types import (
    CareEnquiry,
    HomeVisit,
    HomeVisitConnection,
    Location,
    Node,
    Source,
    User,
    Viewer,
)
from storage.conflicts import Occasion
from storage.queries.paging import Window
from storage.queries.people_filters import PeopleFilter
from storage.queries.references import Kind
from storage.repository import OrderKeys

GroupBy = Annotated[list[HomeVisitGrouping], argument("What visits are counted by: one or two of these, each once.")]
Zone = Annotated[TimeZone | None, argument("The zone whose days `DAY` means; null or absent: the filter's.")]
Id = Annotated[ID, strawberry.argument(description="The ID of the object: 24 hexadecimal characters.")]


def require_permission(info: Info) -> None:
    """Raise Forbidden unless the caller may select this root field."""
    require(info.context.caller, (parent_type(info), info.field_name))


async def _load(info: Info, kind: Kind, id: str) -> Any:
    require_permission(info)
    return await info.context.load(kind, trimmed(id), by_id=True)


async def _page(info: Info, kind: Kind, filter: PeopleFilter, order: OrderKeys, window: Window) -> Any:
    require_permission(info)
    return await info.context.people.page(kind, filter, order, window)


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
        description="A page of the care enquiries that the caller may see, to book for: newest first unless asked otherwise."
    )
    async def care_enquiries(
        self,
        info: Info,
        filter: CareEnquiries = UNSET,
        order_by: OrderCareEnquiries = NEWEST_FIRST,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> CareEnquiryConnection:
        window = window_of(first, after, last, before)
        page = await _page(info, "care_enquiry", people_filter_of(filter), people_order_of(order_by), window)
        return cast("CareEnquiryConnection", page)

    @strawberry.field(description="A page of the locations that the caller may see, by name unless asked otherwise.")
    async def locations(
        self,
        info: Info,
        filter: Locations = UNSET,
        order_by: OrderLocations = LOCATIONS_BY_NAME,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> LocationConnection:
        window = window_of(first, after, last, before)
        page = await _page(info, "location", people_filter_of(filter), people_order_of(order_by), window)
        return cast("LocationConnection", page)

    @strawberry.field(description="A page of the users whom the caller may assign a visit to, by name unless asked otherwise.")
    async def users(
        self,
        info: Info,
        filter: Users = UNSET,
        order_by: OrderUsers = USERS_BY_NAME,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> UserConnection:
        window = window_of(first, after, last, before)
        page = await _page(info, "user", user_filter_of(filter), people_order_of(order_by), window)
        return cast("UserConnection", page)

    @strawberry.field(
        description="How many visits there are of each kind: for dashboards and calendars. 5,000 groups at most, in the order of "
        "what they are grouped by."
    )
    async def home_visit_counts(
        self, info: Info, group_by: GroupBy, filter: Filter = UNSET, time_zone: Zone = UNSET
    ) -> list[HomeVisitCount]:
        require_permission(info)
        found = filter_of(filter)
        zone = unset_to_none(time_zone) or found.get("time_zone", "UTC")
        return cast("list[HomeVisitCount]", await info.context.visits.counts(found, group_by, zone))

    @strawberry.field(
        description="Pending visits that a booking at this time would stand beside: same location, less than 60 minutes apart, "
        "the same host or user; nearest first, 20 at most. Neither host nor user given: none. A warning, never a refusal."
    )
    async def home_visit_conflicts(
        self,
        info: Info,
        location: Annotated[ID, argument("The location to visit.")],
        date_time: Annotated[datetime, argument("When the visit would take place.")],
        host: Annotated[VisitHost | None, argument("The role of the host. Null or absent: only the user counts.")] = UNSET,
        assigned_to: Annotated[ID | None, argument("The user. Null or absent: only the host counts.")] = UNSET,
        excluding: Annotated[ID | None, argument("A visit that does not count: the one that is moved.")] = UNSET,
    ) -> list[HomeVisit]:
        require_permission(info)
        ids = trimmed(assigned_to), trimmed(excluding)
        occasion = Occasion(trimmed(location), date_time, unset_to_none(host), *ids)
        return cast("list[HomeVisit]", await info.context.visits.conflicts(occasion))

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

    @strawberry.field(description="Where the visits come from: kept here, or followed from a live CareHQ account.")
    async def source(self, info: Info) -> Source:
        require_permission(info)
        last_synced = info.context.last_synced
        if last_synced is None:
            return Source(kind=SourceKind.RECORD, last_synced=None)
        return Source(kind=SourceKind.MIRROR, last_synced=await last_synced())

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

"""What clients read. A field is the attribute of the same name on a storage record, unless it says otherwise."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import strawberry
from graphql import GraphQLResolveInfo
from strawberry import ID, UNSET

from schema.context import Context, Info
from schema.enums import (
    ConfirmationStatus,
    HomeVisitEventType,
    HomeVisitOperation,
    HomeVisitStatus,
    Role,
    VisitHost,
    VisitType,
)
from schema.execution.hints import Awaited, Derived, NestedPages, PagesLoader, Reference, hinted, selects_only_id
from schema.execution.internals import field_nodes
from schema.inputs import BY_TIME, After, Before, Filter, First, Last, OrderBy, filter_of, order_of, window_of
from schema.scalars import TimeZone
from storage import models
from storage.events.field_changes import field_changes
from storage.queries.paging import cursors
from storage.queries.references import RECORDS, Kind

Parent = strawberry.Parent[Any]


def _plain(description: str) -> Any:
    return strawberry.field(description=description)


def _derived(value: Callable[[Any, Any], Any], type: Any, description: str, *, needs: tuple[str, ...]) -> Any:
    def resolve(root: Parent, info: Info) -> Any:
        return value(root, info.context)

    hint = Derived(lambda roots, context: [value(root, context) for root in roots], needs)
    return strawberry.field(resolver=resolve, graphql_type=type, description=description, metadata=hinted(hint))


def _reference(kind: Kind, id_attribute: str, type: Any, description: str, *, by_id: bool = False) -> Any:
    """`by_id`: that a record refers to it does not show it; the caller must be allowed to see it by its ID alone."""
    record = RECORDS[kind]
    nulls = (None,) * (len(record.columns) - 1)  # type: ignore[attr-defined]  # the class tells its columns

    async def resolve(root: Parent, info: Info) -> Any:
        id = getattr(root, id_attribute)
        if id is None:
            return None
        if not by_id and selects_only_id(field_nodes(info)):
            return record((id, *nulls))
        return await info.context.load(kind, id, by_id=by_id)

    hint = Reference(kind, id_attribute, by_id)
    return strawberry.field(resolver=resolve, graphql_type=type, description=description, metadata=hinted(hint))


def _visits_of(parent: str, description: str) -> Any:
    def loader(
        context: Context,
        columns: frozenset[str] | None,
        filter: Filter = UNSET,
        order_by: OrderBy = BY_TIME,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> PagesLoader:
        window = window_of(first, after, last, before)
        return context.pages_loader(parent, filter_of(filter), order_of(order_by), window, columns)

    async def home_visits(
        root: Parent,
        info: Info,
        filter: Filter = UNSET,
        order_by: OrderBy = BY_TIME,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> "HomeVisitConnection":
        pages = await loader(info.context, None, filter, order_by, first, after, last, before)((root.id,))
        return cast("HomeVisitConnection", pages[root.id])

    return strawberry.field(resolver=home_visits, description=description, metadata=hinted(NestedPages(loader)))


def _history(description: str) -> Any:
    def loader(
        context: Context,
        _columns: frozenset[str] | None,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> PagesLoader:
        return context.histories_loader(window_of(first, after, last, before))

    async def history(
        root: Parent,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> "HomeVisitEventConnection":
        pages = await loader(info.context, None, first, after, last, before)((root.id,))
        return cast("HomeVisitEventConnection", pages[root.id])

    return strawberry.field(resolver=history, description=description, metadata=hinted(NestedPages(loader)))


def _visit_of_event(description: str) -> Any:
    async def home_visit(root: Parent, info: Info) -> "HomeVisit":
        visits = await info.context.visits_loader(None)((root.home_visit,))
        return cast("HomeVisit", visits[root.home_visit])

    hint = NestedPages(Context.visits_loader, "home_visit")
    return strawberry.field(resolver=home_visit, description=description, metadata=hinted(hint))


def _source(model: type) -> "classmethod[Any, Any, bool]":
    """Accept instances of a model, and records with any of its columns."""

    def is_type_of(cls: type, value: object, info: GraphQLResolveInfo[Any]) -> bool:  # noqa: ARG001 - Strawberry's signature
        return isinstance(value, model) or getattr(value, "model", None) is model

    return classmethod(is_type_of)


@strawberry.interface(description="An object that `node` can fetch again by its ID.")
class Node:
    id: ID = _plain("The ID of the object: 24 hexadecimal characters, unique over all types. Treat it as opaque.")


@strawberry.type(description="A location (care home). Details are null where only the ID is known.")
class Location(Node):
    is_type_of = _source(models.Location)

    name: str | None = _plain("What the location is called.")
    email: str | None = _plain("The location's email address.")
    phone: str | None = _plain("The location's telephone number.")
    time_zone: TimeZone = _plain("The zone that the location's clocks show.")
    home_visits: "HomeVisitConnection" = _visits_of(
        "location", "A page of the visits to this location, by time unless asked otherwise."
    )


async def _locations_of_user(root: Parent, info: Info) -> list[Location] | None:
    if root.locations is None:
        return None
    records = await info.context.load_many("location", root.locations, by_id=True)
    return [records[id] for id in root.locations if records[id] is not None]


@strawberry.type(description="A user of the CRM. Details are null where only the ID is known.")
class User(Node):
    is_type_of = _source(models.User)

    first_name: str | None = _plain("The user's first name.")
    last_name: str | None = _plain("The user's last name.")
    email: str | None = _plain("The user's email address.")
    location_role: VisitHost | None = strawberry.field(name="role", description="The user's role at their locations.")
    locations: list[Location] | None = strawberry.field(
        resolver=_locations_of_user,
        description="Where the user works, as far as the caller may see. Null where that is not known.",
    )
    suspended: bool = _plain("Suspended users are not offered for new visits.")
    home_visits: "HomeVisitConnection" = _visits_of(
        "assigned_to", "A page of the visits assigned to this user, by time unless asked otherwise."
    )


@strawberry.type(description="The person seeking care, as the care enquiry names them.")
class CareSeeker:
    is_type_of = _source(models.CareEnquiry)

    first_name: str | None = _plain("The care seeker's first name.")
    last_name: str | None = _plain("The care seeker's last name.")
    email: str | None = _plain("The email address that confirmations are sent to.")
    phone: str | None = _plain("The care seeker's telephone number.")


def _care_seeker(enquiry: models.CareEnquiry, _context: Any) -> models.CareEnquiry | None:
    details = enquiry.first_name, enquiry.last_name, enquiry.email, enquiry.phone
    return None if details == (None, None, None, None) else enquiry


@strawberry.type(
    description="A request for care: who seeks it, and at which location. Details are null where only the ID is known."
)
class CareEnquiry(Node):
    is_type_of = _source(models.CareEnquiry)

    care_seeker: CareSeeker | None = _derived(
        _care_seeker,
        CareSeeker | None,
        "The person seeking care, who attends unless a contact is named, and who is sent confirmations.",
        needs=("first_name", "last_name", "email", "phone"),
    )
    assigned_to: User | None = _reference(
        "user", "assigned_to", User | None, "The user that visits are assigned to when they are booked."
    )
    location: Location | None = _reference(
        "location", "location", Location | None, "The location that visits are booked to.", by_id=True
    )
    anonymized: datetime | None = _plain("When personal data were removed. Null: they were not.")
    home_visits: "HomeVisitConnection" = _visits_of(
        "care_enquiry", "A page of the visits booked for this enquiry, by time unless asked otherwise."
    )


@strawberry.type(
    description="Somebody close to a service user, such as a relative, who may attend in place of the care seeker. "
    "Details are null where only the ID is known."
)
class ServiceUserContact(Node):
    is_type_of = _source(models.ServiceUserContact)

    first_name: str | None = _plain("The contact's first name.")
    last_name: str | None = _plain("The contact's last name.")
    email: str | None = _plain("The contact's email address.")
    phone: str | None = _plain("The contact's telephone number.")
    care_enquiry: CareEnquiry | None = _reference(
        "care_enquiry", "care_enquiry", CareEnquiry | None, "The care enquiry that the contact belongs to.", by_id=True
    )


def _allowed_operations(visit: models.HomeVisit, context: Any) -> list[HomeVisitOperation]:
    return cast("list[HomeVisitOperation]", context.allowed_operations(visit))


@strawberry.type(description="A visit by a care seeker to a location (care home), in person or virtual.")
class HomeVisit(Node):
    is_type_of = _source(models.HomeVisit)

    status: HomeVisitStatus = _plain("Where the visit is in its life, derived from `cancelled` and `completed`.")
    date_time: datetime = _plain("When the visit takes place.")
    visit_type: VisitType = _plain("Whether the visitors come in person or by video call.")
    host: VisitHost = _plain("The host, by role at the location.")
    notes: str = _plain("Notes regarding the visit. Empty when there are none.")
    care_enquiry: CareEnquiry = _reference(
        "care_enquiry", "care_enquiry", CareEnquiry, "The care enquiry that the visit was booked for."
    )
    location: Location = _reference(
        "location", "location", Location, "The location visited: that of the care enquiry when the visit was booked."
    )
    assigned_to: User | None = _reference(
        "user",
        "assigned_to",
        User | None,
        "The user that the visit is assigned to. Null when neither the booking nor the care enquiry named one.",
    )
    service_user_contact: ServiceUserContact | None = _reference(
        "service_user_contact",
        "service_user_contact",
        ServiceUserContact | None,
        "The contact who will attend. Null: the care seeker of the care enquiry attends.",
    )
    created: datetime = _plain("When the visit was booked.")
    modified: datetime = _plain("When the visit was last changed.")
    cancelled: datetime | None = _plain("When the visit was cancelled. Null: it was not.")
    completed: datetime | None = _plain("When the visit was recorded as completed. Null: it was not.")
    anonymized: datetime | None = _plain("When personal data were removed. Null: they were not.")
    version: int = _plain("Grows by one with every change; pass it as `expectedVersion` to refuse a write based on a stale read.")
    confirmation: ConfirmationStatus = _plain(
        "What became of the last email to the care seeker, of a booking, a move or a cancellation, or why there is none."
    )
    allowed_operations: list[HomeVisitOperation] = _derived(
        _allowed_operations,
        list[HomeVisitOperation],
        "What the lifecycle allows now, to this caller: what a screen should offer.",
        needs=("status",),
    )
    history: "HomeVisitEventConnection" = _history("Every change, oldest first.")


@strawberry.type(description="One visit in a page.")
class HomeVisitEdge:
    node: HomeVisit = _plain("The visit.")
    cursor: str = strawberry.field(
        description="Opaque; valid only with the `orderBy` it came from.",
        metadata=hinted(Derived(lambda edges, _context: cursors(edges))),
    )


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = _plain("Whether the list goes on behind this page.")
    has_previous_page: bool = _plain("Whether the list has something before this page.")
    start_cursor: str | None = _plain(
        "The cursor of the first item: pass it as `before` to page backwards. Null on an empty page."
    )
    end_cursor: str | None = _plain(
        "The cursor of the last item: pass it as `after` to page on. Null on an empty page, but for one of events."
    )


async def _total_count(root: Parent) -> int:
    return cast("int", await root.total_count())


@strawberry.type(description="A page of home visits.")
class HomeVisitConnection:
    edges: list[HomeVisitEdge] = _plain("The visits of the page with their cursors.")
    nodes: list[HomeVisit] = _plain("The nodes of `edges`, for clients that need no cursors.")
    page_info: PageInfo = _plain("Where the page stands in the list.")
    total_count: int = strawberry.field(
        resolver=_total_count,
        description="How many visits meet `filter`, over all pages. Counted only when selected.",
        metadata=hinted(Awaited(_total_count, "counted")),
    )


@strawberry.type(description="One field's change. What is personal, such as notes, is never repeated here: only that it changed.")
class FieldChange:
    field: str = _plain("The API's name of it, such as `dateTime`.")
    before: str | None = _plain("What it was. Instants as RFC 3339, references as IDs. Null: nothing, or personal.")
    after: str | None = _plain("What it is since, in the same form.")


def _changes(root: Parent) -> list[FieldChange]:
    return cast("list[FieldChange]", field_changes((root,))[0])


@strawberry.type(description="One change of a visit, kept for good.")
class HomeVisitEvent(Node):
    is_type_of = _source(models.HomeVisitEvent)

    sequence: int = _plain(
        "Grows by one with each change in the system; each visit's changes follow one another, and nobody who has read further "
        "finds a smaller number later. A caller limited to some locations sees gaps."
    )
    at: datetime = _plain("When the change was made.")
    actor: str = _plain("The `viewer.subject` that made the change.")
    type: HomeVisitEventType = _plain("What happened.")
    home_visit: HomeVisit = _visit_of_event("The visit as it is now.")
    version: int = _plain("The version the change made.")
    changes: list[FieldChange] = strawberry.field(
        resolver=_changes,
        description="The fields that changed.",
        metadata=hinted(Derived(lambda events, _context: field_changes(events), ("changes",))),
    )


@strawberry.type(description="One event in a page.")
class HomeVisitEventEdge:
    node: HomeVisitEvent = _plain("The event.")
    cursor: str = strawberry.field(
        description="Opaque; valid until the system is restored from a backup.",
        metadata=hinted(Derived(lambda edges, _context: cursors(edges))),
    )


@strawberry.type(
    description="A page of events. On an empty page `endCursor` is the `after` given, or where the first event will be, so that "
    "a follower never loses its place."
)
class HomeVisitEventConnection:
    edges: list[HomeVisitEventEdge] = _plain("The events of the page with their cursors.")
    nodes: list[HomeVisitEvent] = _plain("The nodes of `edges`, for clients that need no cursors.")
    page_info: PageInfo = _plain("Where the page stands in the list.")


@strawberry.type(description="The caller, as authenticated.")
class Viewer:
    subject: str = _plain("Who the caller is, as the token says.")
    roles: list[Role] = _plain("What the caller may do.")
    locations: list[Location] | None = _plain("The locations that the caller is limited to. Null: every location.")

"""What clients read. A field is the attribute of the same name on a storage record, unless it says otherwise."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import strawberry
from graphql import GraphQLResolveInfo
from strawberry import ID, UNSET

from schema.context import Context, Info
from schema.enums import (
    ConfirmationStatus,
    HomeVisitOperation,
    HomeVisitStatus,
    Role,
    SourceKind,
    VisitHost,
    VisitType,
)
from schema.execution.hints import Awaited, Derived, NestedPages, PagesLoader, Reference, hinted, selects_only_id
from schema.execution.internals import field_nodes
from schema.inputs import BY_TIME, After, Before, Filter, First, Last, OrderBy, filter_of, order_of, window_of
from schema.scalars import TimeZone
from storage import models
from storage.queries.paging import cursors
from storage.queries.references import RECORDS, SEEN_BY_ID, Kind

if TYPE_CHECKING:
    from schema.events import HomeVisitEventConnection
    from schema.people_pages import ServiceUserContactConnection

Parent = strawberry.Parent[Any]
Contacts = Annotated["ServiceUserContactConnection", strawberry.lazy("schema.people_pages")]
# Events refer to visits, and so come after them.
History = Annotated["HomeVisitEventConnection", strawberry.lazy("schema.events")]


def plain(description: str) -> Any:
    return strawberry.field(description=description)


def _derived(value: Callable[[Any, Any], Any], type: Any, description: str, *, needs: tuple[str, ...]) -> Any:
    def resolve(root: Parent, info: Info) -> Any:
        return value(root, info.context)

    hint = Derived(lambda roots, context: [value(root, context) for root in roots], needs)
    return strawberry.field(resolver=resolve, graphql_type=type, description=description, metadata=hinted(hint))


def reference(kind: Kind, id_attribute: str, type: Any, description: str, *, of: Kind | None = None) -> Any:
    """Refer to a record of a kind; `of` is the kind that refers to it, None for a visit, which shows all that it refers to."""
    by_id = of is not None and id_attribute in SEEN_BY_ID[of]
    record = RECORDS[kind]
    nulls = (None,) * (len(record.columns) - 1)  # type: ignore[attr-defined]  # the class tells its columns

    async def resolve(root: Parent, info: Info) -> Any:
        id = getattr(root, id_attribute)
        if id is not None and (by_id or not selects_only_id(field_nodes(info))):
            return await info.context.load(kind, id, by_id=by_id)
        return None if id is None else record((id, *nulls))

    hint = Reference(lambda context, _columns: partial(context.load_many, kind, by_id=by_id), id_attribute, by_id)
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


def _contacts(description: str) -> Any:
    def loader(
        context: Context,
        columns: frozenset[str] | None,  # noqa: ARG001 - contacts are short: they are read with all they have
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> PagesLoader:
        return context.contacts_loader(window_of(first, after, last, before))

    async def service_user_contacts(
        root: Parent, info: Info, first: First = UNSET, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Contacts:
        pages = await loader(info.context, None, first, after, last, before)((root.id,))
        return cast("Contacts", pages[root.id])

    return strawberry.field(resolver=service_user_contacts, description=description, metadata=hinted(NestedPages(loader)))


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
        root: Parent, info: Info, first: First = UNSET, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> History:
        pages = await loader(info.context, None, first, after, last, before)((root.id,))
        return cast("History", pages[root.id])

    return strawberry.field(resolver=history, description=description, metadata=hinted(NestedPages(loader)))


def source(model: type) -> "classmethod[Any, Any, bool]":
    """Accept instances of a model, and records with any of its columns."""

    def is_type_of(cls: type, value: object, info: GraphQLResolveInfo[Any]) -> bool:  # noqa: ARG001 - Strawberry's signature
        return isinstance(value, model) or getattr(value, "model", None) is model

    return classmethod(is_type_of)


@strawberry.interface(description="An object that `node` can fetch again by its ID.")
class Node:
    id: ID = plain("The ID of the object: 24 hexadecimal characters, unique over all types. Treat it as opaque.")


@strawberry.type(description="A location (care home). Details are null where only the ID is known.")
class Location(Node):
    is_type_of = source(models.Location)

    name: str | None = plain("What the location is called.")
    email: str | None = plain("The location's email address.")
    phone: str | None = plain("The location's telephone number.")
    time_zone: TimeZone = plain("The zone that the location's clocks show.")
    home_visits: "HomeVisitConnection" = _visits_of(
        "location", "A page of the visits to this location, by time unless asked otherwise."
    )


async def _locations_of_user(root: Parent, info: Info) -> list[Location] | None:
    if root.locations is None:
        return None
    records = await info.context.load_many(SEEN_BY_ID["user"]["locations"], root.locations, by_id=True)
    return [records[id] for id in root.locations if records[id] is not None]


@strawberry.type(description="A user of the CRM. Details are null where only the ID is known.")
class User(Node):
    is_type_of = source(models.User)

    first_name: str | None = plain("The user's first name.")
    last_name: str | None = plain("The user's last name.")
    email: str | None = plain("The user's email address.")
    location_role: VisitHost | None = strawberry.field(name="role", description="The user's role at their locations.")
    locations: list[Location] | None = strawberry.field(
        resolver=_locations_of_user,
        description="Where the user works, as far as the caller may see. Null where that is not known.",
    )
    suspended: bool = plain("Suspended users are not offered for new visits.")
    home_visits: "HomeVisitConnection" = _visits_of(
        "assigned_to", "A page of the visits assigned to this user, by time unless asked otherwise."
    )


@strawberry.type(description="The person seeking care, as the care enquiry names them.")
class CareSeeker:
    is_type_of = source(models.CareEnquiry)

    first_name: str | None = plain("The care seeker's first name.")
    last_name: str | None = plain("The care seeker's last name.")
    email: str | None = plain("The email address that confirmations are sent to.")
    phone: str | None = plain("The care seeker's telephone number.")


def _care_seeker(enquiry: models.CareEnquiry, _context: Any) -> models.CareEnquiry | None:
    details = enquiry.first_name, enquiry.last_name, enquiry.email, enquiry.phone
    return None if details == (None, None, None, None) else enquiry


@strawberry.type(
    description="A request for care: who seeks it, and at which location. Details are null where only the ID is known."
)
class CareEnquiry(Node):
    is_type_of = source(models.CareEnquiry)

    care_seeker: CareSeeker | None = _derived(
        _care_seeker,
        CareSeeker | None,
        "The person seeking care, who attends unless a contact is named, and who is sent confirmations.",
        needs=("first_name", "last_name", "email", "phone"),
    )
    assigned_to: User | None = reference(
        "user", "assigned_to", User | None, "The user that visits are assigned to when they are booked.", of="care_enquiry"
    )
    location: Location | None = reference(
        "location", "location", Location | None, "The location that visits are booked to.", of="care_enquiry"
    )
    anonymized: datetime | None = plain("When personal data were removed. Null: they were not.")
    service_user_contacts: Contacts = _contacts(
        "A page of the contacts who may attend in the care seeker's place, as far as the caller may see, by ID."
    )
    home_visits: "HomeVisitConnection" = _visits_of(
        "care_enquiry", "A page of the visits booked for this enquiry, by time unless asked otherwise."
    )


@strawberry.type(
    description="Somebody close to a service user, such as a relative, who may attend in place of the care seeker. "
    "Details are null where only the ID is known."
)
class ServiceUserContact(Node):
    is_type_of = source(models.ServiceUserContact)

    first_name: str | None = plain("The contact's first name.")
    last_name: str | None = plain("The contact's last name.")
    email: str | None = plain("The contact's email address.")
    phone: str | None = plain("The contact's telephone number.")
    care_enquiry: CareEnquiry | None = reference(
        "care_enquiry",
        "care_enquiry",
        CareEnquiry | None,
        "The care enquiry that the contact belongs to.",
        of="service_user_contact",
    )


def _allowed_operations(visit: models.HomeVisit, context: Any) -> list[HomeVisitOperation]:
    return cast("list[HomeVisitOperation]", context.allowed_operations(visit))


@strawberry.type(description="A visit by a care seeker to a location (care home), in person or virtual.")
class HomeVisit(Node):
    is_type_of = source(models.HomeVisit)

    status: HomeVisitStatus = plain("Where the visit is in its life, derived from `cancelled` and `completed`.")
    date_time: datetime = plain("When the visit takes place.")
    visit_type: VisitType = plain("Whether the visitors come in person or by video call.")
    host: VisitHost = plain("The host, by role at the location.")
    notes: str = plain("Notes regarding the visit. Empty when there are none.")
    care_enquiry: CareEnquiry = reference(
        "care_enquiry", "care_enquiry", CareEnquiry, "The care enquiry that the visit was booked for."
    )
    location: Location = reference(
        "location", "location", Location, "The location visited: that of the care enquiry when the visit was booked."
    )
    assigned_to: User | None = reference(
        "user",
        "assigned_to",
        User | None,
        "The user that the visit is assigned to. Null when neither the booking nor the care enquiry named one.",
    )
    service_user_contact: ServiceUserContact | None = reference(
        "service_user_contact",
        "service_user_contact",
        ServiceUserContact | None,
        "The contact who will attend. Null: the care seeker of the care enquiry attends.",
    )
    created: datetime = plain("When the visit was booked.")
    modified: datetime = plain("When the visit was last changed.")
    cancelled: datetime | None = plain("When the visit was cancelled. Null: it was not.")
    completed: datetime | None = plain("When the visit was recorded as completed. Null: it was not.")
    anonymized: datetime | None = plain("When personal data were removed. Null: they were not.")
    version: int = plain("Grows by one with every change; pass it as `expectedVersion` to refuse a write based on a stale read.")
    confirmation: ConfirmationStatus = plain(
        "What became of the last email to the care seeker, of a booking, a move or a cancellation, or why there is none."
    )
    allowed_operations: list[HomeVisitOperation] = _derived(
        _allowed_operations,
        list[HomeVisitOperation],
        "What the lifecycle allows now, to this caller: what a screen should offer.",
        needs=("status",),
    )
    history: History = _history("Every change, oldest first.")


@strawberry.type(description="One visit in a page.")
class HomeVisitEdge:
    node: HomeVisit = plain("The visit.")
    cursor: str = strawberry.field(
        description="Opaque; valid only with the `orderBy` it came from.",
        metadata=hinted(Derived(lambda edges, _context: cursors(edges))),
    )


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = plain("Whether the list goes on behind this page.")
    has_previous_page: bool = plain("Whether the list has something before this page.")
    start_cursor: str | None = plain(
        "The cursor of the first item: pass it as `before` to page backwards. Null on an empty page."
    )
    end_cursor: str | None = plain(
        "The cursor of the last item: pass it as `after` to page on. Null on an empty page, but for one of events."
    )


async def _total_count(root: Parent) -> int:
    return cast("int", await root.total_count())


@strawberry.type(description="A page of home visits.")
class HomeVisitConnection:
    edges: list[HomeVisitEdge] = plain("The visits of the page with their cursors.")
    nodes: list[HomeVisit] = plain("The nodes of `edges`, for clients that need no cursors.")
    page_info: PageInfo = plain("Where the page stands in the list.")
    total_count: int = strawberry.field(
        resolver=_total_count,
        description="How many visits meet `filter`, over all pages. Counted only when selected.",
        metadata=hinted(Awaited(_total_count, "counted")),
    )


@strawberry.type(description="The caller, as authenticated.")
class Viewer:
    subject: str = plain("Who the caller is, as the token says.")
    roles: list[Role] = plain("What the caller may do.")
    locations: list[Location] | None = plain("The locations that the caller is limited to. Null: every location.")


@strawberry.type(description="Where the visits come from.")
class Source:
    kind: SourceKind = plain("Whether visits are kept here, or followed from a live CareHQ account.")
    last_synced: datetime | None = plain(
        "When the followed account was last read to its end. Null: it is not followed, or never was yet."
    )

"""Lists of the CareHQ-compatible API: pages by their number, filters and orders as the source has them."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from resolvers.carehq_arguments import Arguments, Parse, choice, day, flag, instant, one_of, text, whole_number
from schema.transport.rest.endpoint import Document
from storage.carehq.documents import KINDS, Kind
from storage.carehq.exporting import attributes_of, document_of
from storage.models import VisitHost, VisitType
from storage.queries.paging import LARGEST_PAGE, PAGE, NumberedPage, Page
from storage.repository import OrderKeys

# Rows before it are counted: one that is further away is found by when it was modified.
FURTHEST_ROW: Final = 100_000
FILTERS: Final = "filters-"


class Filter(NamedTuple):
    """A condition by the name that ours has. `repeated`: any of several values."""

    name: str
    parse: Parse
    repeated: bool = False


class Resource(NamedTuple):
    """What a list is of: its documents, filters by their names behind `filters-`, and what it can be sorted by."""

    documents: Kind
    filters: Mapping[str, Filter]
    orders: Mapping[str, str]


class ListRequest(NamedTuple):
    """What a list is asked for. `attributes` are those of documents, `columns` those of records."""

    page: NumberedPage
    filter: dict[str, Any]
    order: OrderKeys
    attributes: frozenset[str]
    columns: frozenset[str]


def _ids(name: str) -> Filter:
    return Filter(name, text, repeated=True)


_BY_ID = {"_id": "id"}
# Which names the source has but for `cancelled` and `completed` is not known for sure: hence several for some.
_VISITS = {
    "anonymized": Filter("anonymized", flag),
    "assigned_to": _ids("assigned_to"),
    "cancelled": Filter("cancelled", flag),
    "care_enquiries": _ids("care_enquiry"),
    "care_enquiry": _ids("care_enquiry"),
    "completed": Filter("completed", flag),
    "end": Filter("end_date", day),
    "end_date": Filter("end_date", day),
    "ids": _ids("ids"),
    "location": _ids("location"),
    "locations": _ids("location"),
    "modified_after": Filter("modified_after", instant),
    "modified_before": Filter("modified_before", instant),
    "q": Filter("keyword", text),
    "start": Filter("start_date", day),
    "start_date": Filter("start_date", day),
    "type": Filter("visit_type", one_of(VisitType), repeated=True),
    "visit_type": Filter("visit_type", one_of(VisitType), repeated=True),
}
_PEOPLE = {"ids": _ids("ids"), "q": Filter("search", text)}
_AT_LOCATION = {"location": _ids("location"), "locations": _ids("location")}

HOME_VISITS: Final = Resource(
    KINDS["home_visits"],
    _VISITS,
    {**_BY_ID, **{name: name for name in ("date_time", "created", "modified")}},
)
USERS: Final = Resource(
    KINDS["users"],
    {
        **_PEOPLE,
        **_AT_LOCATION,
        "location_role": Filter("role", one_of(VisitHost), repeated=True),
        "suspended": Filter("suspended", flag),
    },
    _BY_ID,
)
LOCATIONS: Final = Resource(KINDS["locations"], _PEOPLE, _BY_ID)
CARE_ENQUIRIES: Final = Resource(
    KINDS["care_enquiries"],
    {**_PEOPLE, **_AT_LOCATION, "assigned_to": _ids("assigned_to"), "anonymized": Filter("anonymized", flag)},
    _BY_ID,
)
SERVICE_USER_CONTACTS: Final = Resource(KINDS["service_user_contacts"], _PEOPLE, _BY_ID)


def list_request(values: Mapping[str, list[str]], resource: Resource) -> ListRequest:
    """Read what a list is asked for; raise RequestError for all that is wrong with it."""
    arguments = Arguments(values)
    number = arguments.one("page", whole_number(FURTHEST_ROW)) or 1
    size = arguments.one("per_page", whole_number(LARGEST_PAGE)) or PAGE
    if number * size > FURTHEST_ROW and "page" in arguments:
        message = f"Pages end after {FURTHEST_ROW:,} documents. Use filters-modified_after, sorted by modified, to go on."
        arguments.refuse("page", message)
    orders = {sign + name: (column, bool(sign)) for name, column in resource.orders.items() for sign in ("", "-")}
    order = arguments.several("sort", choice(orders)) or [("id", False)]
    attributes = _attributes(arguments, resource) or frozenset({"_id"})
    filter = _filter(arguments, resource.filters)
    arguments.require_valid()
    names = attributes_of(resource.documents)
    return ListRequest(NumberedPage(number, size), filter, order, attributes, frozenset(names[name] for name in attributes))


def document_request(values: Mapping[str, list[str]], resource: Resource) -> frozenset[str]:
    """Read which attributes of one document are asked for: all, unless some are named."""
    arguments = Arguments(values)
    attributes = _attributes(arguments, resource)
    arguments.require_valid()
    return attributes or frozenset(attributes_of(resource.documents))


async def page_document(page: Page[Any], request: ListRequest, resource: Resource) -> Document:
    """Return a page as the source has it, at the price of a page in GraphQL."""
    count, size = await page.total_count(), request.page.size
    items = [document_of(resource.documents, record, request.attributes) for record in page.nodes]
    value = {
        "item_count": count,
        "items": items,
        "page": request.page.number,
        # One at least, so that who counts from 1 to it ends.
        "page_count": max(1, -(-count // size)),
        "per_page": size,
    }
    return Document(value, 1 + size)


def _attributes(arguments: Arguments, resource: Resource) -> frozenset[str] | None:
    named = arguments.several("attributes", _identity(attributes_of(resource.documents)))
    return None if named is None else frozenset({"_id", *filter(None, named)})


def _identity(names: Mapping[str, str]) -> Callable[[str], str]:
    return choice({name: name for name in names})


def _filter(arguments: Arguments, filters: Mapping[str, Filter]) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    for argument in arguments.named(FILTERS):
        condition = filters.get(argument.removeprefix(FILTERS))
        if condition is None:
            # One that is ignored would show too much.
            arguments.refuse(argument, "There is no such filter.")
            continue
        if condition.name in conditions:
            arguments.refuse(argument, "This filter is given by another name as well.")
        take = arguments.several if condition.repeated else arguments.one
        conditions[condition.name] = take(argument, condition.parse)
    return conditions

"""Lists of the CareHQ-compatible API: pages by their number, filters and orders as the source has them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from resolvers.carehq_arguments import Arguments, Parse, choice, day, flag, instant, member_of, searched, text, whole_number
from schema.execution.limits import Limits
from schema.transport.rest.endpoint import Document
from storage.carehq.documents import KINDS, Kind
from storage.carehq.exporting import attributes_of, document_of
from storage.models import VisitHost, VisitType
from storage.queries.numbered_pages import FURTHEST_IN_ORDER, FURTHEST_ROW
from storage.queries.paging import LARGEST_PAGE, ORDER_KEYS, PAGE, NumberedPage
from storage.repository import OrderKeys

FILTERS: Final = "filters-"
# So many rows that are passed over on the way to a page take as long as one that is shown.
PASSED_OVER: Final = 100


class FilterArgument(NamedTuple):
    """A condition by the name that ours has. `repeated`: any of several values."""

    name: str
    parse: Parse
    repeated: bool = False


class DocumentList(NamedTuple):
    """What a list is of: the kind of its documents, filters by their names behind `filters-`, and what it can be sorted by.

    `absent` are attributes of the source's that are not kept here: null where they are asked for.
    """

    kind: Kind
    filters: Mapping[str, FilterArgument]
    orders: Mapping[str, str]
    absent: frozenset[str] = frozenset()


class ListRequest(NamedTuple):
    """What a list is asked for. `attributes` are those of documents; `cost` is in the unit of a request's price."""

    page: NumberedPage
    filter: dict[str, Any]
    order: OrderKeys
    attributes: frozenset[str]
    cost: int

    def document(self, count: int, items: Sequence[Mapping[str, Any]]) -> Document:
        """Return a page as the source has it."""
        number, size = self.page
        # One page at least, so that who counts from 1 to the last ends.
        pages = max(1, -(-count // size))
        return Document({"item_count": count, "items": items, "page": number, "page_count": pages, "per_page": size}, self.cost)

    def require_near(self, furthest_row: int) -> None:
        """Raise RequestError for a page that is further away than pages of this list are numbered."""
        if self.page.number * self.page.size <= furthest_row or self.page.number == 1:
            return
        arguments = Arguments({})
        if furthest_row == FURTHEST_ROW:
            advice = f"Sort by _id alone, without filters-q: such pages end after {FURTHEST_IN_ORDER:,}."
        else:
            advice = "Use filters-modified_after, sorted by modified, to go on."
        arguments.refuse("page", f"Pages end after {furthest_row:,} documents. {advice}")
        arguments.require_valid()


def _ids(name: str) -> FilterArgument:
    return FilterArgument(name, text, repeated=True)


_BY_ID = {"_id": "id"}
# Which names the source has but for `cancelled` and `completed` is not known for sure: hence several for some.
_VISITS = {
    "anonymized": FilterArgument("anonymized", flag),
    "assigned_to": _ids("assigned_to"),
    "cancelled": FilterArgument("cancelled", flag),
    "care_enquiries": _ids("care_enquiry"),
    "care_enquiry": _ids("care_enquiry"),
    "completed": FilterArgument("completed", flag),
    "end": FilterArgument("end_date", day),
    "end_date": FilterArgument("end_date", day),
    "ids": _ids("ids"),
    "location": _ids("location"),
    "locations": _ids("location"),
    "modified_after": FilterArgument("modified_after", instant),
    "modified_before": FilterArgument("modified_before", instant),
    "q": FilterArgument("keyword", searched),
    "start": FilterArgument("start_date", day),
    "start_date": FilterArgument("start_date", day),
    "type": FilterArgument("visit_type", member_of(VisitType), repeated=True),
    "visit_type": FilterArgument("visit_type", member_of(VisitType), repeated=True),
}
_PEOPLE = {"ids": _ids("ids"), "q": FilterArgument("search", searched)}
_AT_LOCATION = {"location": _ids("location"), "locations": _ids("location")}
_TIMES = frozenset({"created", "modified"})

HOME_VISITS: Final = DocumentList(
    KINDS["home_visits"],
    _VISITS,
    {**_BY_ID, **{name: name for name in ("date_time", "created", "modified")}},
)
USERS: Final = DocumentList(
    KINDS["users"],
    {
        **_PEOPLE,
        **_AT_LOCATION,
        "location_role": FilterArgument("role", member_of(VisitHost), repeated=True),
        "suspended": FilterArgument("suspended", flag),
    },
    _BY_ID,
    _TIMES | {"invited", "invite_accepted", "location_groups", "location_role_other", "mfa_enabled", "mobile"},
)
LOCATIONS: Final = DocumentList(
    KINDS["locations"], _PEOPLE, _BY_ID, _TIMES | {"addresses", "brand", "company", "groups", "services"}
)
CARE_ENQUIRIES: Final = DocumentList(
    KINDS["care_enquiries"],
    {
        **_PEOPLE,
        **_AT_LOCATION,
        "assigned_to": _ids("assigned_to"),
        "anonymized": FilterArgument("anonymized", flag),
    },
    _BY_ID,
    frozenset(
        {
            "care_requirements",
            "closing_notes",
            "created",
            "dob",
            "enquiring_for_self",
            "funding_type",
            "mobile",
            "sales_channel",
            "service",
        }
    ),
)
SERVICE_USER_CONTACTS: Final = DocumentList(
    KINDS["service_user_contacts"],
    _PEOPLE,
    _BY_ID,
    _TIMES | {"emergency_contact", "location", "mobile", "next_of_kin", "notes", "power_of_attorney", "service_user"},
)


def list_request(values: Mapping[str, list[str]], documents: DocumentList, limits: Limits) -> ListRequest:
    """Read what a list is asked for; raise RequestError for all that is wrong with it."""
    arguments = Arguments(values)
    page = NumberedPage(
        arguments.one("page", whole_number(FURTHEST_IN_ORDER)) or 1,
        arguments.one("per_page", whole_number(LARGEST_PAGE)) or PAGE,
    )
    cost = 1 + page.size + page.offset // PASSED_OVER
    if cost > limits.cost:
        arguments.refuse("per_page", f"This page costs {cost:,}, of {limits.cost:,} that a request may: use a smaller one.")
    orders = {sign + name: (column, bool(sign)) for name, column in documents.orders.items() for sign in ("", "-")}
    order = arguments.several("sort", choice(orders), ORDER_KEYS) or [("id", False)]
    attributes = _attributes(arguments, documents) or frozenset({"_id"})
    filter = _filter(arguments, documents.filters)
    arguments.require_valid()
    return ListRequest(page, filter, order, attributes, cost)


def document_request(values: Mapping[str, list[str]], documents: DocumentList) -> frozenset[str]:
    """Read which attributes of one document are asked for: all that there are, unless some are named."""
    arguments = Arguments(values)
    attributes = _attributes(arguments, documents)
    arguments.require_valid()
    return attributes or frozenset(attributes_of(documents.kind))


def document(
    documents: DocumentList, record: Any, attributes: frozenset[str], instead: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Return a record as a document of the source's; `instead` has values by our names of columns, in place of its own."""
    found = document_of(documents.kind, record, attributes, instead)
    absent = attributes & documents.absent
    return dict(sorted((found | dict.fromkeys(absent)).items())) if absent else found


def _attributes(arguments: Arguments, documents: DocumentList) -> frozenset[str] | None:
    names = sorted({*attributes_of(documents.kind), *documents.absent})
    attributes = arguments.several("attributes", _identity(names))
    return None if attributes is None else frozenset({"_id", *filter(None, attributes)})


def _identity(names: Sequence[str]) -> Callable[[str], str]:
    return choice({name: name for name in names})


def _filter(arguments: Arguments, filters: Mapping[str, FilterArgument]) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    for argument in arguments.beginning_with(FILTERS):
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

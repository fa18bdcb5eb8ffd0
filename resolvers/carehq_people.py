"""Users, locations, care enquiries and contacts in the CareHQ-compatible API: lists and documents of what visits refer to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from resolvers.auth import Permission
from resolvers.carehq_counts import Counts
from resolvers.carehq_lists import (
    CARE_ENQUIRIES,
    LOCATIONS,
    SERVICE_USER_CONTACTS,
    USERS,
    DocumentList,
    document,
    document_request,
    list_request,
)
from schema.context import Context
from schema.execution.limits import Limits
from schema.transport.errors import RequestError
from schema.transport.rest.endpoint import Call, Document
from storage.queries import references
from storage.queries.paging import NumberedPage
from storage.queries.people_filters import PeopleFilter


class PeopleList(NamedTuple):
    """What there is behind a path: a list and its documents, and the operations by which GraphQL shows them.

    The names are for the log, None where they are those of the operations.
    """

    kind: references.Kind
    documents: DocumentList
    list_permission: Permission
    permission: Permission
    list_name: str | None = None
    name: str | None = None


_ENQUIRIES = ("Query", "careEnquiries"), ("Query", "careEnquiry")
PEOPLE_LISTS: Final[Mapping[str, PeopleList]] = {
    "users": PeopleList("user", USERS, ("Query", "users"), ("Query", "user")),
    "locations": PeopleList("location", LOCATIONS, ("Query", "locations"), ("Query", "location")),
    "care-enquiries": PeopleList("care_enquiry", CARE_ENQUIRIES, *_ENQUIRIES),
    # In GraphQL they are seen with their enquiries.
    "service-user-contacts": PeopleList(
        "service_user_contact", SERVICE_USER_CONTACTS, *_ENQUIRIES, "serviceUserContacts", "serviceUserContact"
    ),
}
_FIRST = NumberedPage(1, 1)


async def list_people(people: PeopleList, limits: Limits, counts: Counts, context: Context, call: Call) -> Document:
    request = list_request(call.values, people.documents, limits)
    filter = cast("PeopleFilter", request.filter)
    request.require_near(context.people.furthest_row(filter))
    page = await context.people.as_stored().numbered_page(people.kind, filter, request.order, request.page)
    count = await counts.count(people.kind, filter, context.caller, page.total_count)
    return request.document(count, await _documents(people, context, page.nodes, request.attributes))


async def read_person(people: PeopleList, context: Context, call: Call) -> Document:
    attributes = document_request(call.values, people.documents)
    page = await context.people.as_stored().numbered_page(people.kind, {"ids": [call.id]}, (("id", False),), _FIRST)
    if not page.nodes:
        raise RequestError("BAD_USER_INPUT", "There is none with this ID, or you may not see it. Check the ID.", status=404)
    [found] = await _documents(people, context, page.nodes, attributes)
    return Document(found, 1)


async def _documents(
    people: PeopleList, context: Context, records: Sequence[Any], attributes: frozenset[str]
) -> list[dict[str, Any]]:
    """Return documents of records. What they refer to is shown as far as the caller may see it, as in GraphQL."""
    guarded = {name: kind for name, kind in references.SEEN_BY_ID.get(people.kind, {}).items() if name in attributes}
    instead: list[dict[str, Any]] = [{} for _ in records]
    for name, kind in guarded.items():
        values = [getattr(record, name) for record in records]
        ids = {id for value in values for id in _ids(value)}
        visible = await context.load_many(kind, sorted(ids), by_id=True) if ids else {}
        for shown, value in zip(instead, values, strict=True):
            seen = [id for id in _ids(value) if visible[id] is not None]
            shown[name] = seen if isinstance(value, list) else next(iter(seen), None)
    return [document(people.documents, record, attributes, shown) for record, shown in zip(records, instead, strict=True)]


def _ids(value: str | list[str] | None) -> list[str]:
    """Return the IDs in a column that refers to one record or to several."""
    return value if isinstance(value, list) else [] if value is None else [value]

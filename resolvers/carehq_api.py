"""The CareHQ-compatible API: the calls of the source's clients, each over the operation that GraphQL has for the same."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, cast

from graphql import GraphQLError

from resolvers.auth import Permission, Unauthenticated, require
from resolvers.carehq_arguments import Arguments, flag, instant, one_of, reference, refused_arguments, text
from resolvers.carehq_lists import (
    CARE_ENQUIRIES,
    HOME_VISITS,
    LOCATIONS,
    SERVICE_USER_CONTACTS,
    USERS,
    Resource,
    document_request,
    list_request,
    page_document,
)
from resolvers.key_use import KeyUse
from resolvers.signed_requests import SignatureVerifier
from schema.context import Context
from schema.transport.errors import RequestError
from schema.transport.rest.endpoint import Call, Document, Operation, SignedIn
from schema.transport.rest.requests import BASE, SignedRequest
from storage import errors
from storage.api_keys import APIKeys
from storage.carehq.exporting import attributes_of, document_of
from storage.lifecycle import BookingInput
from storage.models import HomeVisit, VisitHost, VisitType
from storage.nonces import Nonce
from storage.queries.conditions import HomeVisitFilter
from storage.queries.people_filters import PeopleFilter
from storage.queries.references import Kind
from storage.repository import HomeVisits

SUPPRESS: Final = "suppress"
CHANGED: Final[Mapping[str, Callable[[str], Any]]] = {
    "date_time": instant,
    "host": lambda value: one_of(VisitHost)(value) if value else None,
    "notes": text,
    "assigned_to": reference,
}
_UNCHANGEABLE = dict.fromkeys(attributes_of(HOME_VISITS.documents), "This cannot be changed.")

Run = Callable[[Context, Call], Awaitable[Document]]


class People(NamedTuple):
    """A list of people or locations, the operations by which GraphQL shows them, and their names in the log."""

    kind: Kind
    resource: Resource
    all: Permission
    one: Permission
    names: tuple[str, str]


_ENQUIRIES = ("Query", "careEnquiries"), ("Query", "careEnquiry")
PEOPLE: Final[Mapping[str, People]] = {
    "users": People("user", USERS, ("Query", "users"), ("Query", "user"), ("users", "user")),
    "locations": People("location", LOCATIONS, ("Query", "locations"), ("Query", "location"), ("locations", "location")),
    "care-enquiries": People("care_enquiry", CARE_ENQUIRIES, *_ENQUIRIES, ("careEnquiries", "careEnquiry")),
    # In GraphQL they are seen with their enquiries.
    "service-user-contacts": People(
        "service_user_contact", SERVICE_USER_CONTACTS, *_ENQUIRIES, ("serviceUserContacts", "serviceUserContact")
    ),
}


class CareHQAPI:
    """Signs in by the signatures of keys, and finds what a call does."""

    def __init__(self, verifier: SignatureVerifier, keys: APIKeys, use: KeyUse) -> None:
        self.require_credentials = verifier.require_credentials
        self.refuse = use.refuse
        self._verifier = verifier
        self._keys = keys
        # By what follows the ID, None where there is no ID.
        self._of_visits: dict[tuple[str, ...] | None, Mapping[str, tuple[str, Run]]] = {
            None: {"GET": ("homeVisits", _visits), "PUT": ("bookHomeVisit", self._book)},
            (): {"GET": ("homeVisit", _visit), "PATCH": ("updateHomeVisit", self._update)},
            ("cancel",): {"PATCH": ("cancelHomeVisit", self._cancel)},
            ("complete",): {"PATCH": ("completeHomeVisit", self._complete)},
        }

    async def sign_in(self, request: SignedRequest) -> SignedIn:
        return await self._verifier.sign_in(request, self._change(request))

    def _change(self, request: SignedRequest) -> str:
        """Return what a request does, however its path is written."""
        try:
            operation = self.operation(request.method, request.path)
        except RequestError:
            return "nothing"
        return f"{operation.name} {operation.id}"

    def operation(self, method: str, path: str) -> Operation:
        """Return what a call does; raise RequestError: 404, or 405 with the methods that there are."""
        collection, *parts = path.removeprefix(BASE).removesuffix("/").split("/")
        runs = self._runs(collection, parts)
        if not runs:
            raise RequestError("BAD_REQUEST", "There is nothing at this path. Check it, and the base URL.", status=404)
        if method not in runs:
            error = RequestError("BAD_REQUEST", f"Use {' or '.join(runs)} for this path.", status=405)
            error.headers = {"Allow": ", ".join(runs)}
            raise error
        name, run = runs[method]
        return Operation(name, parts[0] if parts else "", run)

    def _runs(self, collection: str, parts: list[str]) -> Mapping[str, tuple[str, Run]]:
        """Return what there is at a path by its method, each with its name in the log."""
        people = PEOPLE.get(collection)
        if people is not None and len(parts) <= 1:
            return {"GET": (people.names[len(parts)], partial(_person if parts else _people, people))}
        return self._of_visits.get(tuple(parts[1:]) if parts else None, {}) if collection == "home-visits" else {}

    async def _book(self, context: Context, call: Call) -> Document:
        require(context.caller, ("Mutation", "bookHomeVisit"))
        arguments = Arguments(call.values)
        values = {
            "care_enquiry": arguments.one("care_enquiry", reference, required=True),
            "date_time": arguments.one("date_time", instant, required=True),
            "host": arguments.one("host", one_of(VisitHost), required=True),
            "visit_type": arguments.one("visit_type", one_of(VisitType), required=True),
            "assigned_to": arguments.one("assigned_to", reference),
            "service_user_contact": arguments.one("service_user_contact", reference),
            "notes": arguments.one("notes", text) or "",
        }
        suppressed, key = _suppressed(arguments), arguments.one("idempotency_key", reference)
        arguments.require_valid()
        booking = BookingInput(**values)

        def book(visits: HomeVisits) -> Awaitable[HomeVisit]:
            return visits.book(booking, suppress_confirmation=suppressed, idempotency_key=key)

        return await self._changed(context, call, "bookHomeVisit", book)

    async def _update(self, context: Context, call: Call) -> Document:
        require(context.caller, ("Mutation", "updateHomeVisit"))
        arguments = Arguments(call.values)
        changes = {name: arguments.one(name, parse) for name, parse in CHANGED.items() if name in arguments}
        suppressed = _suppressed(arguments)
        arguments.require_valid(_UNCHANGEABLE)
        return await self._changed(
            context,
            call,
            "updateHomeVisit",
            lambda visits: visits.update(call.id, changes, suppress_confirmation=suppressed),
        )

    async def _cancel(self, context: Context, call: Call) -> Document:
        require(context.caller, ("Mutation", "cancelHomeVisit"))
        Arguments(call.values).require_valid()
        return await self._changed(context, call, "cancelHomeVisit", lambda visits: visits.cancel(call.id))

    async def _complete(self, context: Context, call: Call) -> Document:
        require(context.caller, ("Mutation", "completeHomeVisit"))
        Arguments(call.values).require_valid()
        return await self._changed(context, call, "completeHomeVisit", lambda visits: visits.complete(call.id))

    async def _changed(
        self, context: Context, call: Call, field: str, change: Callable[[HomeVisits], Awaitable[HomeVisit]]
    ) -> Document:
        """Make a change, and return the visit as it is then."""
        try:
            visit = await change(context.begin_change(field, field, call.nonce))
        except errors.DatabaseUnusable:
            raise
        except errors.Refusal as refusal:
            error = await self._error_after(refusal, call.nonce)
            # It is about this change, which was not made.
            error.path = [field]
            raise error from None
        return _visit_document(visit, frozenset(attributes_of(HOME_VISITS.documents)))

    async def _error_after(self, refusal: errors.Refusal, nonce: Nonce | None) -> GraphQLError:
        """Return what is wrong with a change. The nonce of one that is refused is used up as well."""
        if nonce is not None and not isinstance(refusal, errors.NonceUsed):
            try:
                await self._keys.keep_nonce(nonce)
            except errors.NonceUsed as used:
                return _error_of(used)
        return _error_of(refusal)


async def _visits(context: Context, call: Call) -> Document:
    require(context.caller, ("Query", "homeVisits"))
    request = list_request(call.values, HOME_VISITS)
    filter = cast("HomeVisitFilter", request.filter)
    page = await context.visits.numbered_page(filter, request.order, request.page, request.columns)
    if "notes" in request.columns:
        context.count_letters((page,))
    return await page_document(page, request, HOME_VISITS)


async def _visit(context: Context, call: Call) -> Document:
    require(context.caller, ("Query", "homeVisit"))
    attributes = document_request(call.values, HOME_VISITS)
    visit = await context.visits.get(call.id)
    if visit is None:
        raise _error_of(errors.HomeVisitNotFound(call.id))
    return _visit_document(visit, attributes)


async def _people(people: People, context: Context, call: Call) -> Document:
    require(context.caller, people.all)
    request = list_request(call.values, people.resource)
    filter = cast("PeopleFilter", request.filter)
    page = await context.people.numbered_page(people.kind, filter, request.order, request.page)
    return await page_document(page, request, people.resource)


async def _person(people: People, context: Context, call: Call) -> Document:
    require(context.caller, people.one)
    attributes = document_request(call.values, people.resource)
    record = await context.load(people.kind, call.id, by_id=True)
    if record is None:
        raise RequestError("BAD_USER_INPUT", "There is none with this ID, or you may not see it. Check the ID.", status=404)
    return Document(document_of(people.resource.documents, record, attributes), 1)


def _visit_document(visit: HomeVisit, attributes: frozenset[str]) -> Document:
    return Document(document_of(HOME_VISITS.documents, visit, attributes), 1)


def _suppressed(arguments: Arguments) -> bool:
    """Tell whether no email is to be sent. How the source calls the flag is not known."""
    return True in [arguments.one(name, flag) for name in arguments.named(SUPPRESS)]


def _error_of(refusal: errors.Refusal) -> GraphQLError:
    """Return what a client is told of a refusal."""
    match refusal:
        case errors.HomeVisitNotFound():
            return RequestError("BAD_USER_INPUT", str(refusal), status=404)
        case errors.IdempotencyConflict():
            return refused_arguments({"idempotency_key": [str(refusal)]})
        case errors.InvalidInput():
            return refused_arguments({problem.field: [problem.message] for problem in refusal.problems})
        case errors.NonceUsed():
            return Unauthenticated(str(refusal), reason="nonce used before")
    return RequestError("BAD_USER_INPUT", str(refusal))

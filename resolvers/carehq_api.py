"""The CareHQ-compatible API: the calls of the source's clients, each over the operation that GraphQL has for the same."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, cast

from graphql import GraphQLError

from resolvers.auth import REQUIRED_ROLES, Forbidden, Permission, Unauthenticated, may
from resolvers.carehq_arguments import Arguments, flag, instant, member_of, or_none, reference, refused_arguments, text
from resolvers.carehq_counts import Counts
from resolvers.carehq_lists import HOME_VISITS, document, document_request, list_request
from resolvers.carehq_people import PEOPLE_LISTS, list_people, read_person
from resolvers.key_use import KeyUse
from resolvers.signed_requests import SignatureVerifier
from schema.context import Context
from schema.execution.limits import Limits
from schema.execution.sizes import AnswerTooLarge
from schema.transport.encoding import encoded
from schema.transport.errors import RequestError
from schema.transport.rest.endpoint import Call, Document, Operation, SignedIn
from schema.transport.rest.requests import BASE, SignedRequest
from storage import errors
from storage.api_keys import APIKeys
from storage.carehq.exporting import attributes_of
from storage.lifecycle import BookingInput
from storage.models import HomeVisit, VisitHost, VisitType
from storage.nonces import Nonce
from storage.queries.conditions import HomeVisitFilter
from storage.repository import HomeVisits

SUPPRESS: Final = "suppress"
# What is wrong with a request as a whole.
UNNAMED: Final = "request"
# What is no refusal of this change: the endpoint says so as for any operation.
OUTAGES: Final = (errors.DatabaseUnusable, errors.UpstreamUnavailable, errors.UpstreamInDoubt)
ATTRIBUTES: Final = frozenset(attributes_of(HOME_VISITS.kind))
REQUIRED: Final = {
    "care_enquiry": reference,
    "date_time": instant,
    "host": member_of(VisitHost),
    "visit_type": member_of(VisitType),
}
OPTIONAL: Final = {"assigned_to": reference, "service_user_contact": reference, "notes": text}
CHANGED: Final = {
    "date_time": instant,
    "host": or_none(member_of(VisitHost)),
    "notes": text,
    "assigned_to": reference,
}
_UNCHANGEABLE = dict.fromkeys(ATTRIBUTES, "This cannot be changed.")
# Lists are compiled in three forms, not in one for each choice of attributes: IDs alone, all but what is long, and all.
_ID, _ALL_BUT_NOTES = frozenset({"id"}), frozenset(attributes_of(HOME_VISITS.kind).values()) - {"notes"}

Read = Callable[[Context, Call], Awaitable[Document]]
Change = Callable[[HomeVisits], Awaitable[HomeVisit]]


class Route(NamedTuple):
    """What a method does at a path, who may do it, and its name in the log."""

    permission: Permission
    name: str
    run: Read


Routes = Mapping[str, Route]


class CareHQAPI:
    """Signs in by the signatures of keys, and finds what a call does."""

    def __init__(self, verifier: SignatureVerifier, keys: APIKeys, use: KeyUse, limits: Limits) -> None:
        self.require_credentials = verifier.require_credentials
        self._use = use
        self._verifier = verifier
        self._keys = keys
        self._limits = limits
        counts = Counts()
        # By what follows the ID, None where there is no ID.
        self._of_visits: dict[tuple[str, ...] | None, Routes] = {
            None: {
                "GET": self._reading(("Query", "homeVisits"), partial(_list_visits, limits, counts)),
                "PUT": self._changing("bookHomeVisit", _booking),
            },
            (): {
                "GET": self._reading(("Query", "homeVisit"), _read_visit),
                "PATCH": self._changing("updateHomeVisit", _update),
            },
            ("cancel",): {"PATCH": self._changing("cancelHomeVisit", _cancellation)},
            ("complete",): {"PATCH": self._changing("completeHomeVisit", _completion)},
        }
        self._of_people: dict[tuple[str, bool], Routes] = {}
        for collection, people in PEOPLE_LISTS.items():
            lists, reads = partial(list_people, people, limits, counts), partial(read_person, people)
            self._of_people[collection, False] = {"GET": self._reading(people.list_permission, lists, people.list_name)}
            self._of_people[collection, True] = {"GET": self._reading(people.permission, reads, people.name)}

    def refuse(self, nonce: Nonce, error: BaseException) -> None:
        """Remember the nonce of a change that failed, unless what refused it has kept it."""
        if not (isinstance(error, GraphQLError) and error.path):
            self._use.refuse(nonce)

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
        routes = self._routes(collection, parts)
        if not routes:
            raise RequestError("BAD_REQUEST", "There is nothing at this path. Check it, and the base URL.", status=404)
        if method not in routes:
            error = RequestError("BAD_REQUEST", f"Use {' or '.join(routes)} for this path.", status=405)
            error.headers = {"Allow": ", ".join(routes)}
            raise error
        route = routes[method]
        return Operation(route.name, parts[0] if parts else "", partial(_run, route))

    def _routes(self, collection: str, parts: list[str]) -> Routes:
        """Return what there is at a path by its method."""
        if collection == "home-visits":
            return self._of_visits.get(tuple(parts[1:]) if parts else None, {})
        return self._of_people.get((collection, bool(parts)), {}) if len(parts) <= 1 else {}

    def _reading(self, permission: Permission, read: Read, name: str | None = None) -> Route:
        return Route(permission, name or permission[1], partial(self._run_read, read))

    def _changing(self, field: str, requested: Callable[[Call], Change]) -> Route:
        return Route(("Mutation", field), field, partial(self._run_change, field, requested))

    async def _run_read(self, read: Read, context: Context, call: Call) -> Document:
        """Read within the limits of an answer."""
        most = self._limits.answer_bytes
        try:
            found = await read(context, call)
        except AnswerTooLarge:
            raise _too_large(most) from None
        except errors.InvalidPage as refusal:
            raise _error_of(refusal) from None
        if len(encoded(found.value)) > most:
            raise _too_large(most)
        return found

    async def _run_change(self, field: str, requested: Callable[[Call], Change], context: Context, call: Call) -> Document:
        """Make a change, and return the visit as it is then."""
        change = requested(call)
        visits = context.begin_change(field, field, call.nonce)
        try:
            visit = await change(visits)
        except OUTAGES:
            raise
        except errors.Refusal as refusal:
            is_kept = context.changes[field].state.has_kept_nonce
            error = await self._error_after(refusal, None if is_kept else call.nonce)
            # It is about this change, which was not made; its nonce is kept.
            error.path = [field]
            raise error from None
        return Document(document(HOME_VISITS, visit, ATTRIBUTES), 1)

    async def _error_after(self, refusal: errors.Refusal, nonce: Nonce | None) -> GraphQLError:
        """Return what is wrong with a change. The nonce of one that is refused is used up as well."""
        if nonce is not None and not isinstance(refusal, errors.NonceUsed):
            try:
                await self._keys.keep_nonce(nonce)
            except errors.NonceUsed as used:
                return _error_of(used)
        return _error_of(refusal)


async def _run(route: Route, context: Context, call: Call) -> Document:
    if not may(context.caller, route.permission):
        raise Forbidden(f"This needs a key with the role {REQUIRED_ROLES[route.permission]}. Ask whoever makes keys for one.")
    return await route.run(context, call)


def _booking(call: Call) -> Change:
    arguments = Arguments(call.values)
    values = {name: arguments.one(name, parse, required=True) for name, parse in REQUIRED.items()}
    values |= {name: arguments.one(name, parse) for name, parse in OPTIONAL.items()}
    suppressed, key = _suppressed(arguments), arguments.one("idempotency_key", reference)
    arguments.require_valid()
    booking = BookingInput(**values | {"notes": values["notes"] or ""})
    return lambda visits: visits.book(booking, suppress_confirmation=suppressed, idempotency_key=key)


def _update(call: Call) -> Change:
    arguments = Arguments(call.values)
    changes = {name: arguments.one(name, parse) for name, parse in CHANGED.items() if name in arguments}
    suppressed = _suppressed(arguments)
    arguments.require_valid(_UNCHANGEABLE)
    return lambda visits: visits.update(call.id, changes, suppress_confirmation=suppressed)


def _cancellation(call: Call) -> Change:
    Arguments(call.values).require_valid()
    return lambda visits: visits.cancel(call.id)


def _completion(call: Call) -> Change:
    Arguments(call.values).require_valid()
    return lambda visits: visits.complete(call.id)


async def _list_visits(limits: Limits, counts: Counts, context: Context, call: Call) -> Document:
    request = list_request(call.values, HOME_VISITS, limits)
    filter = cast("HomeVisitFilter", request.filter)
    request.require_near(context.visits.furthest_row(filter, request.order))
    with_notes = "notes" in request.attributes
    columns = None if with_notes else _ID if request.attributes == {"_id"} else _ALL_BUT_NOTES
    page = await context.visits.numbered_page(filter, request.order, request.page, columns)
    if with_notes:
        context.count_letters((page,))
    count = await counts.count("home_visit", filter, context.caller, page.total_count)
    return request.document(count, [document(HOME_VISITS, visit, request.attributes) for visit in page.nodes])


async def _read_visit(context: Context, call: Call) -> Document:
    attributes = document_request(call.values, HOME_VISITS)
    visit = await context.visits.get(call.id)
    if visit is None:
        raise _error_of(errors.HomeVisitNotFound(call.id))
    return Document(document(HOME_VISITS, visit, attributes), 1)


def _suppressed(arguments: Arguments) -> bool:
    """Tell whether no email is to be sent. How the source calls the flag is not known."""
    return True in [arguments.one(name, flag) for name in arguments.beginning_with(SUPPRESS)]


def _too_large(most: int) -> RequestError:
    advice = "Ask for a smaller `per_page`, or for fewer `attributes`."
    return RequestError("QUERY_TOO_COMPLEX", f"The answer takes more than {most:,} bytes. {advice}")


def _error_of(refusal: errors.Refusal) -> GraphQLError:
    """Return what a client is told of a refusal."""
    match refusal:
        case errors.HomeVisitNotFound():
            return RequestError("BAD_USER_INPUT", str(refusal), status=404)
        case errors.IdempotencyConflict():
            return refused_arguments({"idempotency_key": [str(refusal)]})
        case errors.InvalidInput():
            messages: dict[str, list[str]] = {}
            for problem in refusal.problems:
                messages.setdefault(problem.field or UNNAMED, []).append(problem.message)
            return refused_arguments(messages)
        case errors.NonceUsed():
            return Unauthenticated(str(refusal), reason="nonce used before")
    return RequestError("BAD_USER_INPUT", str(refusal))

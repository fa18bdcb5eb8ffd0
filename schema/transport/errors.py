"""Request errors: why a request is answered without being run, by a code and by the HTTP status that says the same."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from graphql import GraphQLError

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

# Any other code is the request's own fault: 400.
_STATUS_OF = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "THROTTLED": 429,
    "INTERNAL_SERVER_ERROR": 500,
    "IN_DOUBT": 500,
    "OVERLOADED": 503,
    "STORAGE_UNAVAILABLE": 503,
    "UPSTREAM_UNAVAILABLE": 503,
    "TIMEOUT": 504,
}
# Faults that operators have to know of, other than refusals.
FAILURES = frozenset({"INTERNAL_SERVER_ERROR", "IN_DOUBT", "STORAGE_UNAVAILABLE"})


class RequestError(GraphQLError):
    """An error that is the whole response. `status` and `headers` are HTTP's; another transport leaves them aside."""

    headers: Mapping[str, str] = NO_HEADERS

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message, extensions={"code": code})
        self.status = status or status_of(code)


class PersistedQueryError(RequestError):
    """A hash names no document that runs here. Clients know the message and the code by heart, and send the text next.

    To them it is a mistake in a document, not one of HTTP: the older media type answers it by 200.
    """

    def __init__(self, code: Literal["PERSISTED_QUERY_NOT_FOUND", "PERSISTED_QUERY_NOT_SUPPORTED"]) -> None:
        super().__init__(code, "".join(word.capitalize() for word in code.split("_")))


class Throttled(RequestError):
    """Others wait, and this caller has used more than a share: of a `quota` in a `window` of seconds so much is `available`.

    The headers are those of draft-ietf-httpapi-ratelimit-headers-11.
    """

    def __init__(self, *, quota: int, window: int, available: int, seconds: int) -> None:
        unit = "second" if seconds == 1 else "seconds"
        super().__init__(
            "THROTTLED",
            "Others wait, and you have used more than your share of this server. "
            f"Send fewer requests at once, or smaller ones; this one again in {seconds} {unit}.",
        )
        self.headers = {
            "Retry-After": str(seconds),
            "RateLimit-Policy": f'"share";q={quota};w={window}',
            "RateLimit": f'"share";r={available};t={seconds}',
        }


def bad_request(message: str, *, status: int = 400) -> RequestError:
    return RequestError("BAD_REQUEST", message, status=status)


def status_of(code: str) -> int:
    return _STATUS_OF.get(code, 400)

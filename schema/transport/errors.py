"""Request errors: why a request is answered without being run, by a code and by the HTTP status that says the same."""

from graphql import GraphQLError

# Any other code is the request's own fault: 400.
_STATUS_OF = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "INTERNAL_SERVER_ERROR": 500,
    "IN_DOUBT": 500,
    "OVERLOADED": 503,
    "TIMEOUT": 504,
}


class RequestError(GraphQLError):
    """An error that is the whole response. `status` is HTTP's; another transport leaves it aside."""

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message, extensions={"code": code})
        self.status = status or status_of(code)


def bad_request(message: str, *, status: int = 400) -> RequestError:
    return RequestError("BAD_REQUEST", message, status=status)


def status_of(code: str) -> int:
    return _STATUS_OF.get(code, 400)

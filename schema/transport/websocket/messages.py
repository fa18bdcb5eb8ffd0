"""Messages of the protocol graphql-transport-ws: read from text, written as bytes; and why a connection is closed."""

from enum import IntEnum
from typing import Any, Final, NamedTuple

from schema.transport.encoding import encoded, parse_json

PROTOCOL: Final = "graphql-transport-ws"
# What a close frame has room for, in bytes of UTF-8.
LONGEST_REASON: Final = 123
LONGEST_ID: Final = 255


class CloseCode(IntEnum):
    """Codes below 4000 are those of WebSockets, the others those of the protocol; 4290 is ours."""

    GOING_AWAY = 1001
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_ALREADY_EXISTS = 4409
    STALLED = 4290
    TOO_MANY_INITIALISATION_REQUESTS = 4429


class Closed(Exception):
    """The connection is to be closed, with this code and reason."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Flooding(Closed):
    """The client sends so much that nothing more of it is to be read."""


class Message(NamedTuple):
    """A message of a client; `id` is empty where the type has none."""

    type: str
    id: str
    payload: Any


_WITH_ID = frozenset(("subscribe", "complete"))
_WITHOUT_ID = frozenset(("connection_init", "ping", "pong"))


def parse_message(text: str) -> Message:
    """Read a message; raise Closed for what is none."""
    try:
        members = parse_json(text.encode())
    except ValueError as error:
        raise bad_message(f"A message is not JSON: {str(error)[:80]}.") from None
    if not isinstance(members, dict):
        raise bad_message("A message must be a JSON object.")
    type, payload = members.get("type"), members.get("payload")
    id: Any = members.get("id") if type in _WITH_ID else ""
    if type in _WITH_ID:
        if not isinstance(id, str) or not 0 < len(id) <= LONGEST_ID:
            raise bad_message(f"`id` must be a string of 1 to {LONGEST_ID} characters.")
    elif type not in _WITHOUT_ID:
        raise bad_message("`type` must be that of a message from a client.")
    if type == "subscribe" and not isinstance(payload, dict):
        raise bad_message("`payload` must be an object with `query`.")
    if payload is not None and not isinstance(payload, dict):
        raise bad_message("`payload` must be an object.")
    return Message(type, id, payload)


def bad_message(reason: str) -> Closed:
    return Closed(CloseCode.BAD_REQUEST, reason)


def close_reason(reason: str) -> bytes:
    """Return as much of a reason as a close frame has room for."""
    return reason.encode(errors="replace")[:LONGEST_REASON].decode(errors="ignore").encode()


CONNECTION_ACK: Final = b'{"type":"connection_ack"}'


def pong_message(payload: Any) -> bytes:
    return encoded({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})


def next_message(id: str, payload: bytes) -> bytes:
    """Return the message for a payload that is encoded already, as it may be for many operations."""
    return b'{"id":' + encoded(id) + b',"type":"next","payload":' + payload + b"}"


def error_message(id: str, errors: list[dict[str, Any]]) -> bytes:
    return b'{"id":' + encoded(id) + b',"type":"error","payload":' + encoded(errors) + b"}"


def complete_message(id: str) -> bytes:
    return b'{"id":' + encoded(id) + b',"type":"complete"}'

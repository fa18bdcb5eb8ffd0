"""Signed requests: credentials from headers, and parameters from a query or a form, decoded and as they were sent."""

import re
from typing import Final, NamedTuple

from aiohttp import hdrs, web
from multidict import CIMultiDictProxy

from schema.transport.errors import RequestError, bad_request
from schema.transport.http.connections import HTTPLimits
from schema.transport.http.requests import read_bytes

FORM: Final = "application/x-www-form-urlencoded"
MOST_PARAMETERS: Final = 1_000
BASE: Final = "/v1/"

Pairs = tuple[tuple[str, str], ...]

_is_utf_8 = re.compile(r"""\s*charset\s*=\s*"?utf-?8"?\s*""", re.IGNORECASE).fullmatch
_escape = re.compile(rb"%([0-9A-Fa-f]{2})")
_DIGITS = "0123456789abcdefABCDEF"
_BYTES = {f"{high}{low}".encode(): bytes.fromhex(high + low) for high in _DIGITS for low in _DIGITS}


class Credentials(NamedTuple):
    """The headers by which a request is signed, None where there is none or more than one."""

    account_id: str | None
    key: str | None
    timestamp: str | None
    signature: str | None
    version: str | None
    nonce: str | None


class RequestHead(NamedTuple):
    """A request before its body is read. `path` is that from `/v1/` on, as it was sent and signed."""

    method: str
    path: str
    credentials: Credentials


class SignedRequest(NamedTuple):
    """A request that somebody may have signed. `text` is its query or its form, still encoded."""

    method: str
    path: str
    credentials: Credentials
    text: str


def read_head(request: web.Request) -> RequestHead:
    """Read method, path and credentials. Raises RequestError: 400, 404."""
    target, _, query = request.raw_path.partition("#")[0].partition("?")
    # The first one: who may send requests below /v1/users alone must not reach anything else.
    _, base, path = target.partition(BASE)
    if not base:
        raise bad_request(f"Paths begin with {BASE}, unescaped. Check the base URL.", status=404)
    if query and request.method != hdrs.METH_GET:
        raise bad_request("Send parameters in the body: those of a query are not signed for this method.")
    return RequestHead(request.method, base + path, _credentials(request.headers))


async def read_request(head: RequestHead, request: web.Request, limits: HTTPLimits) -> SignedRequest:
    """Read the parameters as they were sent, within the limits. Raises RequestError: 400, 408, 413, or 415."""
    if head.method == hdrs.METH_GET:
        text = request.raw_path.partition("#")[0].partition("?")[2]
    else:
        text = await _read_form(request, limits)
    if text.count("&") >= MOST_PARAMETERS:
        raise bad_request(f"Send {MOST_PARAMETERS:,} parameters at most.")
    return SignedRequest(*head, text)


def undecoded_pairs(text: str) -> Pairs:
    """Return the parameters of a query or a form as they were sent."""
    return tuple(_pair(part) for part in text.split("&") if part)


def decoded_pairs(undecoded: Pairs) -> Pairs | None:
    """Return what percent-encoded parameters stand for; None where that is not UTF-8."""
    try:
        return tuple((decoded(key), decoded(value)) for key, value in undecoded)
    except UnicodeDecodeError:
        return None


def values_of(pairs: Pairs) -> dict[str, list[str]]:
    """Return the values of each parameter, in the order in which they were sent."""
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return values


def decoded(text: str) -> str:
    """Return what a percent-encoded text stands for; raise UnicodeDecodeError where that is not UTF-8."""
    # As urllib does it, at a quarter of the time for a body of nothing but percent signs.
    encoded = text.replace("+", " ").encode(errors="surrogateescape")
    return _escape.sub(lambda escape: _BYTES[escape[1]], encoded).decode()


def not_utf_8() -> RequestError:
    return bad_request("Parameters must be in UTF-8.")


async def _read_form(request: web.Request, limits: HTTPLimits) -> str:
    """Read a form in UTF-8. Clients that have nothing to send leave out its type, or send it without a form."""
    body = await read_bytes(request, limits)
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "")
    if body and not _is_form(content_type):
        raise bad_request(f"Send parameters in UTF-8 with Content-Type: {FORM}.")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise not_utf_8() from None


def _is_form(content_type: str) -> bool:
    media_type, *parameters = content_type.split(";")
    charsets = [parameter for parameter in parameters if parameter.strip().lower().startswith("charset")]
    return media_type.strip().lower() == FORM and all(map(_is_utf_8, charsets))


def _pair(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key, value


def _credentials(headers: CIMultiDictProxy[str]) -> Credentials:
    names = ("AccountId", "APIKey", "Timestamp", "Signature", "Signature-Version", "Nonce")
    found = [headers.getall(f"X-CareHQ-{name}", ()) for name in names]
    if any(len(values) > 1 for values in found):
        raise bad_request("Send each X-CareHQ header once.")
    return Credentials(*(values[0].strip() if values else None for values in found))

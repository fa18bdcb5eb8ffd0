"""GraphQL responses as HTTP: status, JSON, security headers, and gzip where it pays."""

import asyncio
import zlib
from collections.abc import Container, Mapping
from typing import NamedTuple

from aiohttp import HttpVersion11, hdrs, web
from multidict import CIMultiDict, istr

from schema.transport.encoding import encoded
from schema.transport.errors import NO_HEADERS, status_of
from schema.transport.http.clients import Head
from schema.transport.http.heads import EXPOSED, SECURITY_HEADERS, VARY, PrebuiltResponse
from schema.transport.http.negotiation import GRAPHQL_RESPONSE, JSON, takes_gzip
from schema.transport.operations import Response

# Only a listed origin gets further than these two; it may then send any header. Browsers keep the permission two hours at most.
_PREFLIGHT_HEADERS = SECURITY_HEADERS | {"Allow": "POST, OPTIONS", "Vary": "Origin"}
_PREFLIGHT_PERMISSION = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, *",
    "Access-Control-Max-Age": "7200",
}

_PAGE_HEADERS = SECURITY_HEADERS | {"Content-Type": "text/html; charset=utf-8", "Vary": "Accept"}

# What a client needs to know to do better.
_ADVICE = {405: {"Allow": "POST, OPTIONS"}, 503: {"Retry-After": "1"}}

# Built once: to copy such headers costs less than to list them.
_HEADERS = {
    media_type: CIMultiDict(
        {istr(name): value for name, value in SECURITY_HEADERS.items()}
        | {hdrs.CONTENT_TYPE: f"{media_type}; charset=utf-8", hdrs.VARY: VARY}
    )
    for media_type in (GRAPHQL_RESPONSE, JSON)
}

# GraphQL over HTTP's own status: there is data, and there are errors.
_PARTIAL_SUCCESS = 294
_REASONS = {_PARTIAL_SUCCESS: "Partial Success"}

# Smaller answers fit one packet anyway. Larger ones than the second would hold up the others for a third of a millisecond.
_WORTH_COMPRESSING = 1400
_WORTH_A_THREAD = 64 * 1024
# 6 takes two to three times as long for a tenth less.
_COMPRESSION_LEVEL = 1


class Reply(NamedTuple):
    """Status and body, and the headers that only this one has."""

    status: int
    body: bytes
    headers: Mapping[str, str] = NO_HEADERS


def hinting_reply(response: Response) -> Reply:
    """Write the body of a refusal for clients of either API: with errors as GraphQL has them, and a hint as CareHQ does."""
    hint = response.errors[0]["message"]
    body = {"errors": response.errors, "hint": hint, "arg_errors": None}
    return Reply(response.refused_status or 500, encoded(body), response.headers)


def reply(response: Response, media_type: str) -> Reply:
    """Choose the status and write the body. By the older media type, a mistake in a document is a success of HTTP."""
    data, errors, executed, refused_status, extensions, headers = response
    further = {"extensions": extensions} if extensions else {}
    if executed and not errors:
        return Reply(200, encoded({"data": data, **further}))
    if executed:
        status = _PARTIAL_SUCCESS if media_type == GRAPHQL_RESPONSE else 200
        return Reply(status, encoded({"errors": errors, "data": data, **further}))
    if refused_status is not None:
        return Reply(refused_status, encoded({"errors": errors, **further}), headers)
    status = status_of(errors[0]["extensions"]["code"])
    return Reply(200 if status == 400 and media_type == JSON else status, encoded({"errors": errors, **further}))


def is_usual(reply: Reply, request: web.Request) -> bool:
    """Tell whether all headers of a response are those of any other."""
    return reply.status == 200 and not reply.headers and request.version == HttpVersion11


async def usual_response(
    body: bytes, *, request: web.Request, media_type: str, request_id: str, origin: str | None
) -> PrebuiltResponse:
    """Dress what `is_usual` in a head that is built already, compressed where that pays."""
    compressed = pays_to_compress(body, request)
    if compressed:
        body = await _compressed(body)
    return PrebuiltResponse(media_type, body, request_id, compressed=compressed, origin=origin)


async def http_response(reply: Reply, *, request: web.Request, media_type: str) -> web.Response:
    """Dress a reply in headers, compressed where that pays."""
    status, body, headers = reply
    compressed = pays_to_compress(body, request)
    if compressed:
        body = await _compressed(body)
    response = web.Response(status=status, reason=_REASONS.get(status), body=body, headers=_HEADERS[media_type])
    if compressed:
        response.headers[hdrs.CONTENT_ENCODING] = "gzip"
    if status in _ADVICE:
        response.headers.update(_ADVICE[status])
    elif status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = _challenge(request)
    if headers:
        response.headers.update(headers)
    return response


def page(body: bytes, headers: Mapping[str, str]) -> web.Response:
    """Serve a page under its own policy."""
    return web.Response(body=body, headers=_PAGE_HEADERS | dict(headers))


def moved(location: str) -> web.Response:
    return web.Response(status=308, headers=SECURITY_HEADERS | {hdrs.LOCATION: location})


def preflight(*, allowed: bool) -> web.Response:
    """Tell a browser whether another site's script may send requests."""
    return web.Response(status=204, headers=_PREFLIGHT_HEADERS | (_PREFLIGHT_PERMISSION if allowed else {}))


def allowed_origin(request: Head, origins: Container[str]) -> str | None:
    """Return the origin of a page that may read the answer."""
    origin = request.headers.get(hdrs.ORIGIN)
    return origin if origin is not None and origin in origins else None


def allow_origin(response: web.Response, origin: str) -> None:
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED


def _challenge(request: web.Request) -> str:
    """Name the scheme; where a token was sent, say that it is no good."""
    return 'Bearer error="invalid_token"' if hdrs.AUTHORIZATION in request.headers else "Bearer"


def pays_to_compress(body: bytes, request: Head) -> bool:
    return len(body) >= _WORTH_COMPRESSING and takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))


async def _compressed(body: bytes) -> bytes:
    if not is_worth_a_thread(body):
        return gzip(body)
    return await asyncio.get_running_loop().run_in_executor(None, gzip, body)


def is_worth_a_thread(body: bytes) -> bool:
    return len(body) >= _WORTH_A_THREAD


def gzip(body: bytes) -> bytes:
    # 31: the largest window, in gzip's frame.
    return zlib.compress(body, _COMPRESSION_LEVEL, 31)

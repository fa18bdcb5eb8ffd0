"""Requests by HTTP: the body read within bounds of size and time, then parsed as GraphQL over HTTP says."""

import asyncio
from codecs import BOM_UTF8
from collections.abc import Awaitable, Mapping
from typing import Any

from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

from schema.execution.engine import Request
from schema.transport.encoding import parse_json
from schema.transport.errors import RequestError, bad_request
from schema.transport.http.connections import LONGEST_LINE, NOT_HTTP, HTTPLimits
from schema.transport.http.negotiation import is_json
from schema.transport.requests import TrustedDocuments, request_of

# Tokens that list groups or certificates are long.
LONGEST_AUTHORIZATION = 16 * 1024


def authorization(headers: CIMultiDictProxy[str] | CIMultiDict[str]) -> str | None:
    """Return the Authorization header; raise RequestError for one that is too long (431), or where there are two (400)."""
    found = headers.getall(hdrs.AUTHORIZATION, None)
    if found is None:
        return None
    if len(found) > 1:
        raise bad_request("Send one Authorization header: there are several, and each might name somebody else.")
    if len(found[0]) > LONGEST_AUTHORIZATION:
        raise bad_request(
            f"The Authorization header is longer than {LONGEST_AUTHORIZATION:,} bytes. Ask for a shorter token.", status=431
        )
    return found[0]


def too_long(limit: int) -> RequestError:
    """Return the error for a request of which a line was longer than its limit: its first, or one of the headers."""
    if limit == LONGEST_LINE:
        return bad_request(
            f"The first line of the request is longer than {limit:,} bytes. Send a shorter one, or GraphQL by POST.", status=414
        )
    return bad_request(
        f"A header is longer than {limit:,} bytes; Authorization may have {LONGEST_AUTHORIZATION:,}. Send shorter ones.",
        status=431,
    )


def read_body(request: web.Request, limits: HTTPLimits) -> Awaitable[bytes]:
    """Read the body of a POST. Raises RequestError: 400, 408, 413 or 415."""
    if not is_json(request.headers.get(hdrs.CONTENT_TYPE, "")):
        raise bad_request("Send the request as JSON in UTF-8, with Content-Type: application/json.", status=415)
    return read_bytes(request, limits)


async def read_bytes(request: web.Request, limits: HTTPLimits) -> bytes:
    """Read a body of any type. Raises RequestError: 400, 408, 413 or 415."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() not in ("identity", ""):
        raise bad_request("Send the body without Content-Encoding.", status=415)
    try:
        # The usual body came with its headers: no timer is needed.
        body = request.content.read_nowait() if request.content.is_eof() else await _read_in_time(request, limits)
    except NOT_HTTP as error:
        raise bad_request("The body is not framed as its headers say. Send it again.") from error
    if len(body) > limits.body:
        raise _too_large(limits)
    return body


def parse_request(body: bytes, trusted: TrustedDocuments | None) -> Request:
    """Parse a body as a request. Raises RequestError: 400, or 403 where only other documents are trusted."""
    try:
        members = parse_json(body.removeprefix(BOM_UTF8))
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {str(error)[:200]}. Send one JSON object.") from None
    if isinstance(members, list):
        raise bad_request("Send one request at a time: batches are off.")
    if not isinstance(members, dict):
        raise bad_request("The body must be a JSON object with `query`.")
    return request_of(members, trusted)


def parse_url(query: Mapping[str, str], trusted: TrustedDocuments | None) -> Request:
    """Parse what a GET asks for: a query of a stored document. Raises RequestError: 400, or 405 where a mutation is named."""
    members = {name: _parameter(name, query[name]) for name in ("variables", "extensions") if query.get(name)}
    request = request_of({**members, "operationName": query.get("operationName") or None}, trusted)
    if trusted is None or not trusted.is_query(request.document, request.operation_name):
        raise by_post()
    return request


def names_stored_document(request: web.Request) -> bool:
    """Tell whether this is a GET that names its document, as urql sends it. One that brings a text is off."""
    return request.method == hdrs.METH_GET and "extensions" in request.query and "query" not in request.query


def by_post() -> RequestError:
    return bad_request("Send the request by POST: by GET only stored queries are taken, by their hash.", status=405)


async def _read_in_time(request: web.Request, limits: HTTPLimits) -> bytes:
    if (request.content_length or 0) > limits.body:
        raise _too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            while len(body) <= limits.body and (chunk := await request.content.readany()):
                body += chunk
    except TimeoutError:
        raise bad_request(f"The body did not arrive within {limits.body_seconds:g} seconds. Send it again.", status=408) from None
    except asyncio.CancelledError:
        # So aiohttp ends a body that still arrives when it stops: by the body's exception, not by cancelling the task.
        if isinstance(request.content.exception(), asyncio.CancelledError):
            raise RequestError("OVERLOADED", "The server is stopping. Send the request again.") from None
        raise
    return bytes(body)


def _too_large(limits: HTTPLimits) -> RequestError:
    return bad_request(f"The body is larger than {limits.body:,} bytes. Split the request.", status=413)


def _parameter(name: str, text: str) -> Any:
    try:
        return parse_json(text.encode())
    except ValueError as error:
        raise bad_request(f"`{name}` is not JSON: {str(error)[:200]}. Send one JSON object.") from None

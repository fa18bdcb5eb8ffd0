"""Requests by HTTP: the body read within bounds of size and time, then parsed as GraphQL over HTTP says."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jiter
from aiohttp import hdrs, web
from multidict import CIMultiDictProxy

from schema.execution.engine import Request
from schema.transport.errors import RequestError, bad_request
from schema.transport.http.connections import LONGEST_LINE, NOT_HTTP, HTTPLimits
from schema.transport.http.negotiation import is_json

# Tokens that list groups or certificates are long.
LONGEST_AUTHORIZATION = 16 * 1024


def authorization(headers: CIMultiDictProxy[str]) -> str | None:
    """Return the Authorization header; raise RequestError for one that is too long (431), or where there are two (400)."""
    found = headers.getall(hdrs.AUTHORIZATION, None)
    if found is None:
        return None
    if len(found) > 1:
        raise bad_request("Send one Authorization header: there are several, and each might name somebody else.")
    if len(found[0]) > LONGEST_AUTHORIZATION:
        raise bad_request(f"The Authorization header is longer than {LONGEST_AUTHORIZATION:,} bytes.", status=431)
    return found[0]


def too_long(limit: int) -> RequestError:
    """Return the error for a request of which a line was longer than its limit: its first, or one of the headers."""
    if limit == LONGEST_LINE:
        return bad_request(f"The first line of the request is longer than {limit:,} bytes.", status=414)
    return bad_request(f"A header is longer than {limit:,} bytes; Authorization may have {LONGEST_AUTHORIZATION:,}.", status=431)


async def read_body(request: web.Request, limits: HTTPLimits) -> bytes:
    """Read the body of a POST. Raises RequestError: 400, 408, 413 or 415."""
    if not is_json(request.headers.get(hdrs.CONTENT_TYPE, "")):
        raise bad_request("Send the request as JSON in UTF-8, with Content-Type: application/json.", status=415)
    if hdrs.CONTENT_ENCODING in request.headers:
        raise bad_request("Send the body without Content-Encoding.", status=415)
    try:
        # The usual body came with its headers: no timer is needed.
        body = request.content.read_nowait() if request.content.is_eof() else await _read_in_time(request, limits)
    except NOT_HTTP as error:
        raise bad_request("The body is not framed as its headers say. Send it again.") from error
    if len(body) > limits.body:
        raise _too_large(limits)
    return body


class TrustedDocuments:
    """An operator's list of the only documents that run, found by the hash of their text, with or without `sha256:`."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._documents = {id.removeprefix("sha256:"): document for id, document in documents.items()}
        self._texts = frozenset(documents.values())

    @classmethod
    def read(cls, path: Path) -> "TrustedDocuments":
        """Read a JSON file of hash to document; raise ValueError where it is none."""
        try:
            documents = json.loads(path.read_bytes())
        except OSError as error:
            raise ValueError(f"The trusted documents cannot be read: {error}.") from None
        except ValueError:
            documents = None
        if not isinstance(documents, dict) or not all(isinstance(text, str) for text in documents.values()):
            raise ValueError(f"{path} is no JSON object of hash to document, both strings.")
        return cls(documents)

    def __contains__(self, document: str) -> bool:
        return document in self._texts

    def find(self, document_id: str) -> str | None:
        return self._documents.get(document_id.removeprefix("sha256:"))


def parse_request(body: bytes, trusted: TrustedDocuments | None) -> Request:
    """Parse a body as a request. Raises RequestError: 400, or 403 where only other documents are trusted."""
    try:
        # Unlike other parsers this one refuses a name that comes twice, of which two readers would take different values.
        members = jiter.from_json(body, allow_inf_nan=False, cache_mode="keys", catch_duplicate_keys=True)
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {str(error)[:200]}. Send one JSON object.") from None
    if isinstance(members, list):
        raise bad_request("Send one request at a time: batches are off.")
    if not isinstance(members, dict):
        raise bad_request("The body must be a JSON object with `query`.")
    _optional(members, "extensions", dict, "an object")
    document = _document(members, trusted)
    operation_name = _optional(members, "operationName", str, "a string")
    return Request(document, operation_name, _optional(members, "variables", dict, "an object") or {})


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


def _document(members: dict[str, Any], trusted: TrustedDocuments | None) -> str:
    document_id = _optional(members, "documentId", str, "a string")
    document: str | None = _optional(members, "query", str, "a string")
    if document_id is not None and document is not None:
        raise bad_request("Send `query` or `documentId`, not both.")
    if document_id is not None:
        return _trusted_document(document_id, trusted)
    if not document:
        raise bad_request("`query` is missing: send the text of a GraphQL document.")
    if trusted is not None and document not in trusted:
        raise RequestError(
            "FORBIDDEN", "Only trusted documents run here. Register this one, or ask for another by its `documentId`."
        )
    return document


def _trusted_document(document_id: str, trusted: TrustedDocuments | None) -> str:
    document = trusted.find(document_id) if trusted else None
    if document is None:
        raise bad_request("`documentId` names no document that is known here. Register it first, or send it as `query`.")
    return document


def _optional(members: dict[str, Any], name: str, kind: type, described: str) -> Any:
    value = members.get(name)
    if value is not None and type(value) is not kind:
        raise bad_request(f"`{name}` must be {described}.")
    return value

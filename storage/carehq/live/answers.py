"""What an account answers: a document, a refusal, or that we are to wait."""

import json
import math
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import aiohttp
import orjson

from storage.errors import UpstreamRefused, UpstreamThrottled, UpstreamUnavailable

CLOCK_SKEW = timedelta(minutes=5)
LARGEST_ANSWER = 16_000_000
LONGEST_NUMBER = 100
RATE = "X-CareHQ-RateLimit-"
# What an account asks us to wait for is believed up to this.
LONGEST_WAIT = 300.0
DEFAULT_WAIT = 5.0
# It goes into our log, and to callers.
LONGEST_HINT = 500


class Answer(NamedTuple):
    """A document, and when the account's own clock showed that it was sent."""

    document: dict[str, Any]
    sent: datetime


class Page(NamedTuple):
    """One page of a list, as numbered by the account."""

    items: list[Any]
    item_count: int
    page_count: int
    sent: datetime


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise UpstreamUnavailable(f"it answers more than {LARGEST_ANSWER:,} bytes", may_be_done=True)
    return bytes(body)


def answer_of(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    status = response.status
    # Without a date: as early as the clock of an account may be that accepts our signatures.
    sent = _date(response) or datetime.now(UTC).replace(microsecond=0) - CLOCK_SKEW
    document = _json(body)
    hint = document.get("hint") if isinstance(document, dict) else None
    hint = " ".join(_readable(hint[:LONGEST_HINT]).split()) if isinstance(hint, str) else ""
    if status == 200 and isinstance(document, dict):
        return Answer(document, sent)
    if status == 429:
        raise UpstreamThrottled(wait_of(response))
    if 400 <= status < 500 and isinstance(document, dict):
        raise UpstreamRefused(status, hint, _arg_errors(document))
    what = f"it answers {status}" + ("" if isinstance(document, dict) else ", and no JSON object")
    raise UpstreamUnavailable(what, may_be_done=True)


def _json(body: bytes) -> Any:
    """Return what a body holds, None where it is no JSON; a value that is none, such as NaN, costs no more than its document."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return _lenient.decode(body.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        return None


def _number(digits: str) -> float:
    """Return a whole number, an infinite one where that would be too long."""
    return int(digits) if len(digits) < LONGEST_NUMBER else math.inf


_lenient = json.JSONDecoder(strict=False, parse_constant=float, parse_int=_number)


def _readable(text: str) -> str:
    """Return a text without what is no character."""
    return text.encode(errors="replace").decode()


def _date(response: aiohttp.ClientResponse) -> datetime | None:
    """Return what the account's clock showed, None where that cannot be read."""
    try:
        sent = parsedate_to_datetime(response.headers["Date"])
        return sent.astimezone(UTC) if sent.tzinfo else sent.replace(tzinfo=UTC)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def wait_of(response: aiohttp.ClientResponse) -> float:
    """Return for how many seconds the account asks us to wait, by its own clock where it shows it."""
    now = (_date(response) or datetime.now(UTC)).timestamp()
    for name, since in (("Retry-After", 0.0), (f"{RATE}Reset", now)):
        try:
            seconds = float(response.headers[name]) - since
        except (KeyError, ValueError):
            continue
        if not math.isnan(seconds):
            return min(max(seconds, 0.1), LONGEST_WAIT)
    return DEFAULT_WAIT


def _arg_errors(document: dict[str, Any]) -> dict[str, list[str]]:
    errors = document.get("arg_errors")
    if not isinstance(errors, dict):
        return {}
    return {
        name: [_readable(text) for text in texts if isinstance(text, str)]
        for name, texts in errors.items()
        if isinstance(texts, list)
    }

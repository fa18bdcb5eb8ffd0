"""Content negotiation: what a request's headers say about its body and the response it can take.

Every function is cached by the header's text, where it is no longer than usual: clients send the same few, so that the usual
request costs a lookup.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from typing import TypeVar

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"

T = TypeVar("T")

_CACHED_HEADERS = 256
_LONGEST_CACHED = 256
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def _cached(parse: Callable[[str], T]) -> Callable[[str], T]:
    lookup = lru_cache(_CACHED_HEADERS)(parse)

    @wraps(parse)
    def parsed(header: str) -> T:
        return lookup(header) if len(header) <= _LONGEST_CACHED else parse(header)

    return parsed


@_cached
def response_type(accept: str) -> str | None:
    """Choose the media type of the response; None where `accept` allows neither.

    The newer type only for a client that names it: by wildcard, and without a header, it is the older one.
    """
    weights = dict(_weights(accept or "*/*"))
    modern, legacy = (_weight(weights, media_type, "application/*", "*/*") for media_type in (GRAPHQL_RESPONSE, JSON))
    if GRAPHQL_RESPONSE in weights and modern and modern >= legacy:
        return GRAPHQL_RESPONSE
    if legacy:
        return JSON
    return GRAPHQL_RESPONSE if modern else None


@_cached
def takes_html(accept: str) -> bool:
    return _weight(dict(_weights(accept)), "text/html") > 0


@_cached
def takes_gzip(accept_encoding: str) -> bool:
    return _weight(dict(_weights(accept_encoding)), "gzip", "*") > 0


@_cached
def is_json(content_type: str) -> bool:
    """Tell JSON in UTF-8, which is JSON's default, from everything else."""
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [parameter.removeprefix("charset=").strip('"') for parameter in parameters if parameter.startswith("charset=")]
    return media_type == JSON and all(charset in ("utf-8", "utf8") for charset in charsets)


def _weights(header: str) -> Iterator[tuple[str, float]]:
    """Yield each choice with its weight. One whose weight is nonsense is not offered."""
    for choice in header.lower().split(","):
        name, *parameters = (part.strip() for part in choice.split(";"))
        stated = [parameter for parameter in parameters if parameter.startswith("q=")]
        weight = _WEIGHT.fullmatch(stated[0] if stated else "q=1")
        if name and weight:
            yield name, float(weight[1])


def _weight(weights: dict[str, float], *names: str) -> float:
    """Find the weight under the first of `names`, from the exact to the general, that the header has."""
    return next((weights[name] for name in names if name in weights), 0.0)

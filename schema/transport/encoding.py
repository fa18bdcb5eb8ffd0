"""JSON of every transport: read strictly, written quickly."""

import json
from typing import Any

import jiter
import orjson


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON text; raise ValueError."""
    # Unlike other parsers this one refuses a name that comes twice, of which two readers would take different values.
    return jiter.from_json(text, allow_inf_nan=False, cache_mode="keys", catch_duplicate_keys=True)


def encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        # An integer beyond 64 bits, as the price of a hostile document is, or half of a surrogate pair.
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()

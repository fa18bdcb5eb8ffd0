"""How much memory is kept of what something did."""

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


class Kept:
    """`bytes` is there once the `with` is over."""

    bytes = 0


@contextmanager
def kept_memory() -> Iterator[Kept]:
    """Measure what is allocated inside `with` and not freed at its end."""
    kept = Kept()
    gc.collect()
    tracemalloc.start()
    try:
        yield kept
        gc.collect()
        kept.bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

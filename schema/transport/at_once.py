"""What the operations of a process are run by that need not wait."""

from collections.abc import Callable
from typing import Any, NamedTuple

from schema.execution.engine import Request, Result


class AtOnce(NamedTuple):
    """How an operation is run that need not wait: what returns None would have to.

    `authenticate` knows callers of before. `execute` changes nothing, and makes a context only where it may succeed; `defer`
    has an operation not tried for some requests.
    """

    authenticate: Callable[[str | None], Any]
    make_context: Callable[[Any, str], Any]
    execute: Callable[[Request, Callable[[], Any]], Result | None]
    defer: Callable[[Request], None]

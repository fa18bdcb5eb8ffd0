"""What schemathesis draws for our scalars, and how it asks for pages: most of what it made up would be refused.

It runs in the environment of schemathesis. `KNOWN_IDS` are IDs of the server's records, with spaces between.
"""

import os
from typing import Any

import schemathesis
from graphql import REMOVE, ArgumentNode, IntValueNode, Visitor, parse, print_ast, visit
from hypothesis import strategies as st
from schemathesis.graphql import nodes

IDS = os.environ["KNOWN_IDS"].split()
ZONES = ["Europe/London", "America/St_Johns", "Pacific/Apia"]
LARGEST_PAGE = 100

schemathesis.graphql.scalar("ID", (st.sampled_from([*IDS, "f" * 24]) | st.text(max_size=25)).map(nodes.String))
schemathesis.graphql.scalar("DateTime", st.datetimes().map(lambda time: nodes.String(f"{time.isoformat()}Z")))
schemathesis.graphql.scalar("TimeZone", st.sampled_from(ZONES).map(nodes.String))


class OneWay(Visitor):
    """Leaves `first` or `last` of those of a page, of a size that is served, and no cursor: made up, none is genuine."""

    def __init__(self, kept: str) -> None:
        super().__init__()
        self._kept = kept

    def enter_argument(self, node: ArgumentNode, *_: Any) -> Any:
        if node.name.value not in {"first", "last", "after", "before"}:
            return None
        if node.name.value != self._kept or not isinstance(node.value, IntValueNode):
            return REMOVE
        size = IntValueNode(value=str(abs(int(node.value.value)) % (LARGEST_PAGE + 1)))
        return ArgumentNode(name=node.name, value=size)


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Leave one document in four as it was drawn."""
    kept = ("first", "last", "first", None)[len(case.body) % 4]
    if kept:
        case.body = print_ast(visit(parse(case.body), OneWay(kept)))

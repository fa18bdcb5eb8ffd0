"""Headers that the standard library does not write right."""

from email.header import Header
from email.headerregistry import BaseHeader, HeaderRegistry, UniqueUnstructuredHeader
from email.policy import SMTP, Policy
from typing import Any

LONGEST_LINE = 78
LONGEST_ENCODED_LINE = 76


class WholeText(UniqueUnstructuredHeader, BaseHeader):  # type: ignore[misc]  # two annotations of `max_count`; the first holds
    """A text that is encoded as a whole where it must be.

    The standard library encodes it word by word: Python 3.11 then loses the space between two of them, each of 3.11 to 3.13 adds
    one before a text that it cannot break, and all decode what a name only looks like, `=?utf-8?q?x?=`.
    """

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        kwds["parse_tree"] = cls.value_parser("")
        kwds["decoded"] = value

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self._written(policy.linesep)}{policy.linesep}"

    def _written(self, linesep: str) -> str:
        text = str(self)
        if text.isascii() and "=?" not in text:
            plain = Header(text, "us-ascii", LONGEST_LINE, self.name).encode(linesep=linesep)
            if max(map(len, f"{self.name}: {plain}".split(linesep))) <= LONGEST_LINE:
                return plain
        return Header(text, "utf-8", LONGEST_ENCODED_LINE, self.name).encode(linesep=linesep)


def _registry() -> HeaderRegistry:
    registry = HeaderRegistry()
    registry.map_to_type("subject", WholeText)
    return registry


# Seven bits pass through every mail server.
POLICY = SMTP.clone(cte_type="7bit", header_factory=_registry())

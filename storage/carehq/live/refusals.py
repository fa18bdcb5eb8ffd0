"""What an account's refusal of a change means to our callers."""

import logging
import re
from collections.abc import Iterator

from storage.errors import InvalidInput, NotHere, Problem, Refusal, UpstreamRefused, UpstreamUnavailable

# Of other answers nobody can say whether the change was made all the same.
REFUSES = frozenset({400, 401, 403, 404, 405, 409, 410, 413, 414, 415, 422})
# What is wrong with our key, and nothing that a caller can mend.
OF_THE_KEY = frozenset({401, 403, 405})
MOST_PROBLEMS = 10
LONGEST_TEXT = 500

log = logging.getLogger(__name__)
_is_name = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII).fullmatch


def refusal_of(refused: UpstreamRefused, *, of_values: bool = False) -> Refusal:
    """Return the refusal that a caller is told of. `of_values`: they gave some, and can mend what is wrong with those."""
    if refused.status in OF_THE_KEY:
        log.warning("CareHQ refuses the key that it is called with: %s", _shortened(str(refused)))
        return UpstreamUnavailable("it refuses the key of this gateway", may_be_done=False)
    problems = list(_problems(refused))
    if problems and of_values:
        return InvalidInput(*problems[:MOST_PROBLEMS])
    reasons = [refused.hint, *(problem.message for problem in problems)]
    reason = " ".join(filter(None, reasons)) or f"it answers {refused.status}."
    return NotHere(_shortened(f"CareHQ refuses this: {reason}"))


def _problems(refused: UpstreamRefused) -> Iterator[Problem]:
    """Yield what is wrong with each argument by the account's own name of it, "" where that is no name."""
    for name, texts in refused.arg_errors.items():
        field = _field_of(name) if _is_name(name) else ""
        for text in texts or ["CareHQ refuses this value."]:
            yield Problem(field, "INVALID", _shortened(text))


def _field_of(name: str) -> str:
    """Return what an argument is called here."""
    return "suppress_confirmation" if name.startswith("suppress") else name.strip("_")


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"

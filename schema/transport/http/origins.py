"""Which pages may send requests from a browser: those of listed sites and, in development, those of this machine."""

import re

# Browsers write an origin in lower case, without the port that its scheme has anyway.
_is_of_this_machine = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?").fullmatch


class LocalOrigins:
    """The origins of this machine, whatever the port, and those that are listed."""

    def __init__(self, listed: frozenset[str]) -> None:
        self._listed = listed

    def __contains__(self, origin: object) -> bool:
        return isinstance(origin, str) and (origin in self._listed or _is_of_this_machine(origin) is not None)

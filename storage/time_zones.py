"""Which names are time zones, on every way in."""

from functools import cache
from zoneinfo import available_timezones

# Files of the time zone database that name no place: where this machine is, no zone set yet, rules for zones that have none.
NO_ZONES = frozenset({"Factory", "localtime", "posixrules"})
# Copies of all zones, some with leap seconds, which Python's calendar does not have.
COPIES = ("posix/", "right/")


def is_time_zone(name: object) -> bool:
    """Tell whether this is the name of a zone, as the time zone database writes it."""
    return isinstance(name, str) and name in _time_zones()


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(name for name in available_timezones() - NO_ZONES if not name.startswith(COPIES))

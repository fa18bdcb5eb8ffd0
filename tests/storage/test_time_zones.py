"""Which names are time zones: those of places, on every way in alike."""

from zoneinfo import ZoneInfo, available_timezones

import pytest

from schema.scalars import parse_time_zone
from storage.carehq.documents import KINDS
from storage.time_zones import is_time_zone

NO_ZONES = [
    "Factory",
    "localtime",
    "posixrules",
    "right/Europe/London",
    "posix/Europe/London",
    "europe/london",
    "Europe",
    "../zoneinfo/Europe/London",
    "/usr/share/zoneinfo/Europe/London",
    "zone.tab",
    "CET-1CEST",
    "+01:00",
    "",
    None,
    5,
    ["Europe/London"],
]


@pytest.mark.parametrize("name", NO_ZONES, ids=repr)
def test_what_is_no_zone_is_refused_on_every_way_in(name: object) -> None:
    with pytest.raises(ValueError, match="A TimeZone is an IANA name"):
        parse_time_zone(name)
    with pytest.raises(ValueError, match="must be the IANA name of a time zone"):
        KINDS["locations"].document.model_validate({"_id": 24 * "1", "time_zone": name or 5})

    assert not is_time_zone(name)


@pytest.mark.parametrize(
    "name", ["Europe/London", "Europe/Jersey", "Asia/Kolkata", "America/Argentina/Ushuaia", "UTC", "GB", "EST5EDT"]
)
def test_a_zone_is_taken_on_every_way_in(name: str) -> None:
    document = KINDS["locations"].document.model_validate({"_id": 24 * "1", "time_zone": name})

    assert (parse_time_zone(name), vars(document)["time_zone"], is_time_zone(name)) == (name, name, True)


def test_every_other_zone_of_the_database_is_one() -> None:
    refused = {name for name in available_timezones() if not is_time_zone(name)}

    assert refused <= {"Factory", "localtime", "posixrules"}
    assert all(ZoneInfo(name) for name in available_timezones() - refused)

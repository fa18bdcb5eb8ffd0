"""Settings: what each variable sets, and the README's table of them."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from schema.execution.limits import Limits
from schema.server.settings import PREFIX, Settings, Unstartable, variables
from schema.transport.http.connections import HTTPLimits
from tests.conftest import ROOT, environment

ROW = re.compile(r"\| `([A-Z_]+)` \| (.+?) \| (.+) \|")
# What is decided by --dev has no default of its own.
LEFT_OPEN = {"LOG_FORMAT": "`json`"}


def rows() -> list[tuple[str, str, str]]:
    """Return name, default and meaning of each setting in the README."""
    table = (ROOT / "README.md").read_text().partition("| setting | default |")[2].partition("\n\n")[0]
    return [match.groups() for line in table.splitlines() if (match := ROW.fullmatch(line))]  # type: ignore[misc]  # three groups


def as_in_readme(name: str, default: Any) -> str:
    """Return a default as the README writes it."""
    match default:
        case None:
            return LEFT_OPEN.get(name, "none")
        case bool():
            return "on" if default else "off"
        case frozenset() | tuple():
            return ", ".join(sorted(default)) or "none"
    return f"`{default}`"


def test_the_table_names_every_setting_in_the_order_of_the_code() -> None:
    names = [PREFIX + name for name, _, _ in rows()]

    assert names == list(variables())


def test_the_table_has_every_default() -> None:
    defaults = {name: default for name, default, _ in rows()}

    assert defaults == {
        name.removeprefix(PREFIX): as_in_readme(name.removeprefix(PREFIX), value) for name, value in variables().items()
    }


def test_every_row_of_the_table_is_read_here() -> None:
    table = (ROOT / "README.md").read_text().partition("| setting | default |")[2].partition("\n\n")[0]

    lines = [line for line in table.splitlines() if line.startswith("| ")]

    assert len(lines) == len(rows())


def other(value: Any) -> Any:
    """Return a value that differs from a default, of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
    return {"Europe/London": "Europe/Dublin"}.get(value, "console" if value is None else f"other-{value}")


SPECIAL = {
    "ALLOWED_ORIGINS": ("https://a.example, http://localhost:5173", frozenset({"https://a.example", "http://localhost:5173"})),
    "ANONYMIZE_OLDER_THAN_DAYS": ("730", 730),
    "CAREHQ_URL": ("https://api.carehq.co.uk/v1/", "https://api.carehq.co.uk"),
    "PGBOUNCER": ("on", True),
    "TRUSTED_DOCUMENTS": ("documents.json", Path("documents.json")),
    "TRUSTED_PROXIES": ("10.0.0.0/8, 2001:db8::1", (ip_network("10.0.0.0/8"), ip_network("2001:db8::1"))),
}


@pytest.mark.parametrize("variable", variables())
def test_a_variable_sets_what_it_says(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    name = variable.removeprefix(PREFIX)
    value, expected = SPECIAL.get(name, (other(variables()[variable]),) * 2)
    monkeypatch.setenv(variable, str(value))

    settings = Settings()

    group, _, member = name.lower().rpartition("__")
    actual = getattr(getattr(settings, group), member) if group else getattr(settings, member)
    assert (actual.get_secret_value() if hasattr(actual, "get_secret_value") else actual) == expected


def test_one_limit_set_leaves_the_others_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME_VISITS_LIMITS__DEPTH", "5")
    monkeypatch.setenv("HOME_VISITS_HTTP__BODY", "1000")

    settings = Settings()

    assert (settings.limits, settings.http) == (Limits(depth=5), HTTPLimits(body=1000))


def test_a_file_sets_what_no_variable_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("HOME_VISITS_EXECUTING=7\nHOME_VISITS_WAITING=8\nOTHERS=1\n")
    monkeypatch.setenv("HOME_VISITS_WAITING", "9")

    settings = Settings()

    assert (settings.executing, settings.waiting) == (7, 9)


def test_an_empty_setting_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME_VISITS_JWT_SECRET", "")
    monkeypatch.setenv("HOME_VISITS_EXECUTING", "")

    settings = Settings()

    assert (settings.jwt_secret, settings.executing) == (None, 64)


def test_a_run_without_plans_sets_up_all_servers_so(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    plans = environment(tmp_path).get("HOME_VISITS_PLANS")

    assert plans == ("off" if pytestconfig.getoption("--no-plans") else None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANONYMIZE_OLDER_THAN_DAYS", "0"),
        ("ANONYMIZE_OLDER_THAN_DAYS", "36501"),
        ("ANONYMIZE_EVERY_HOURS", "1e-9"),
        ("ANONYMIZE_EVERY_HOURS", "inf"),
        ("ANONYMIZE_EVERY_HOURS", "nan"),
        ("ANONYMIZE_LOCK_SECONDS", "0"),
        ("ANONYMIZE_LOCK_SECONDS", "inf"),
    ],
)
def test_how_often_and_for_how_long_to_anonymize_is_bounded(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"{PREFIX}{name}", value)

    with pytest.raises(Unstartable, match=rf"^Settings that cannot be used: {PREFIX}{name}: Input should be "):
        Settings.load()

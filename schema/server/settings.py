"""Settings: the only reader of the environment. What cannot be used is refused with the variable's name and the reason."""

import math
import os
import re
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schema.execution.limits import Limits
from schema.scalars import parse_time_zone
from schema.server.sharing import SharedMetrics
from schema.transport.http.clients import Network
from schema.transport.http.connections import HTTPLimits
from schema.transport.http.origins import LocalOrigins
from schema.transport.shares import ShareLimits
from schema.transport.websocket.sockets import WebSocketLimits

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic_core import ErrorDetails

T = TypeVar("T", bound="DataclassInstance")

PREFIX = "HOME_VISITS_"
# prometheus-client's own: the folder in which the workers of one server keep their metrics together; and which of them this is.
_SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_WORKER = "PROMETHEUS_MULTIPROC_WORKER"

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_is_origin = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?").fullmatch


class Unstartable(Exception):
    """It cannot start as it is set up; the message says what to set."""


def _parse_origins(text: str) -> frozenset[str]:
    """Parse origins separated by spaces or commas, in the form in which browsers send them."""
    origins = frozenset(re.split(r"[\s,]+", text.strip()))
    for origin in origins:
        if not _is_origin(origin):
            raise ValueError(f"{origin} is no origin: write them like https://visits.example, with spaces between")
    return origins


def _parse_base(text: str | None) -> str | None:
    """Parse where an API is: HTTPS, or HTTP on this machine, and a path that its own paths are appended to."""
    if text is None:
        return None
    base = text.strip().rstrip("/").removesuffix("/v1")
    url = urlsplit(base)
    if url.scheme not in ("http", "https") or not _has_host_alone(url) or url.query or url.fragment:
        raise ValueError("this is no base URL: write one like https://api.carehq.co.uk")
    if url.scheme == "http" and url.hostname not in LOOPBACK:
        raise ValueError("personal data would pass in the clear: use https")
    return base


def _has_host_alone(url: SplitResult) -> bool:
    """Tell whether a URL names a host, and perhaps a port, and nobody who signs in."""
    try:
        return bool(url.hostname) and url.port != 0 and not re.search(r"[\s@]", url.netloc)
    except ValueError:  # of a port that is no number, which is told with it
        return False


class _UnusableMember(ValueError):
    """A member of a group cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


def _parse_networks(text: str) -> tuple[Network, ...]:
    """Parse addresses and networks separated by spaces or commas."""
    return tuple(ip_network(part) for part in re.split(r"[\s,]+", text.strip()))


def _require_positive(limits: T) -> T:
    for name, value in asdict(limits).items():
        if not 0 < value < math.inf:
            raise _UnusableMember(name, "must be more than 0, and not endless")
    return limits


def _nested(value: Any) -> Any:
    """Pass on what was gathered from a group's members; refuse a value of the group itself."""
    if isinstance(value, str):
        raise ValueError("this is a group: set its members one by one, as the README lists them")
    return value


_Origins = Annotated[frozenset[str], NoDecode, BeforeValidator(_parse_origins)]
_Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_parse_networks)]
_Group = (NoDecode, BeforeValidator(_nested), AfterValidator(_require_positive))


class Settings(BaseSettings):
    """Read from variables with the prefix `HOME_VISITS_`, or from a file `.env`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        validate_default=False,
    )

    database_url: str = "sqlite+aiosqlite:///home_visits.db"
    pgbouncer: bool = False
    jwt_secret: SecretStr | None = None
    jwt_jwks_url: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_roles_claim: str = "roles"
    jwt_locations_claim: str = "locations"
    keys_secret: SecretStr | None = None
    keys_rate: PositiveInt = 50
    carehq_url: Annotated[str | None, AfterValidator(_parse_base)] = None
    carehq_account_id: str | None = None
    carehq_key: SecretStr | None = None
    carehq_secret: SecretStr | None = None
    carehq_poll_seconds: Annotated[float, Field(ge=1, le=3_600)] = 30.0
    smtp_url: SecretStr | None = None
    mail_from: str | None = None
    anonymize_older_than_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    anonymize_every_hours: Annotated[float, Field(ge=0.01, le=8_760)] = 24.0
    anonymize_lock_seconds: Annotated[float, Field(ge=0.1, le=3_600)] = 1.0
    default_time_zone: Annotated[str, AfterValidator(parse_time_zone)] = "Europe/London"
    allowed_origins: _Origins = frozenset()
    trusted_documents: Path | None = None
    trusted_proxies: _Networks = ()
    explorer: bool = False
    introspection: bool = False
    plans: bool = True
    straight: bool = True
    log_format: Literal["console", "json"] | None = None
    executing: PositiveInt = 64
    waiting: PositiveInt = 128
    share: Annotated[ShareLimits, *_Group] = ShareLimits()
    limits: Annotated[Limits, *_Group] = Limits()
    http: Annotated[HTTPLimits, *_Group] = HTTPLimits()
    websocket: Annotated[WebSocketLimits, *_Group] = WebSocketLimits()

    @classmethod
    def load(cls) -> "Settings":
        """Read the environment; raise Unstartable."""
        with _explaining():
            return cls()

    def origins(self, *, dev: bool) -> Container[str]:
        """Return whose pages may send requests: in development those of this machine as well."""
        return LocalOrigins(self.allowed_origins) if dev else self.allowed_origins

    @property
    def lets_sign_in(self) -> bool:
        return bool(self.jwt_secret or self.jwt_jwks_url)


def variables() -> dict[str, Any]:
    """Return the default of each setting by the name of its variable: of a group's member `GROUP__MEMBER`."""
    defaults: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        group = field.default if is_dataclass(field.default) and not isinstance(field.default, type) else None
        members = {f"{name}__{member}": value for member, value in asdict(group).items()} if group else {name: field.default}
        defaults |= members
    return {f"{PREFIX}{name}".upper(): default for name, default in defaults.items()}


def unknown_variables() -> list[str]:
    """Return the variables with our prefix, in the environment or in a file `.env`, that are no settings."""
    names = {name.upper() for name in (*os.environ, *dotenv_values(".env"))}
    return sorted(name for name in names - variables().keys() if name.startswith(PREFIX))


def shared_metrics() -> SharedMetrics | None:
    """Return where a worker shares its metrics with the others, if it does."""
    folder, worker = os.environ.get(_SHARED_METRICS), os.environ.get(_WORKER)
    return SharedMetrics(Path(folder), int(worker)) if folder and worker else None


def worker_environment(folder: Path | None, worker: int) -> dict[str, str]:
    """Return our environment for a worker that shares its metrics in a folder."""
    others = {name: value for name, value in os.environ.items() if name not in (_SHARED_METRICS, _WORKER)}
    return others | {_SHARED_METRICS: str(folder), _WORKER: str(worker)} if folder else others


@contextmanager
def naming_the_setting(*names: str) -> Iterator[None]:
    """Turn a ValueError about a value into Unstartable, with the name of the setting that has it."""
    try:
        yield
    except ValueError as reason:
        raise Unstartable(f"{' and '.join(names)}: {reason}") from None


@contextmanager
def _explaining() -> Iterator[None]:
    """Turn what is wrong with variables into Unstartable, with their names and the reasons, never with their values."""
    try:
        yield
    except ValidationError as error:
        reasons = (f"{_variable(_location(detail))}: {_reason(detail['msg'])}" for detail in error.errors())
        raise Unstartable(f"Settings that cannot be used: {'; '.join(reasons)}.") from None
    except (ValueError, OSError) as error:
        raise Unstartable(f"Settings that cannot be read, from variables or .env: {error}.") from None


def _location(detail: "ErrorDetails") -> tuple[int | str, ...]:
    cause = detail.get("ctx", {}).get("error")
    return (*detail["loc"], cause.name) if isinstance(cause, _UnusableMember) else detail["loc"]


def _variable(location: tuple[int | str, ...]) -> str:
    return f"{PREFIX}{'__'.join(map(str, location))}".upper()


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".")

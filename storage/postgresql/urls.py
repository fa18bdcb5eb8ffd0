"""The URL of a database as libpq and SQLAlchemy write it, turned into what the driver takes."""

import os
import re
import ssl
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from storage.errors import DatabaseUnusable

EXAMPLE = "write it like postgresql://user:password@host:5432/database, and in the password / as %2F, ? as %3F, % as %25"
_SCHEMES = ("postgresql", "postgresql+asyncpg", "postgres")
_HOST = r"(?:[^/@?#:,\[\]]*|\[[^/@?#\[\]]*\])(?::[0-9]*)?"
# Hosts, database and options: whatever precedes them is the user's.
_is_address = re.compile(rf"{_HOST}(?:,{_HOST})*(?:/[^/?#]*)?(?:\?(?:\w+=[^#&]*(?:&|$))*)?").fullmatch
# Those of libpq that the driver would take for settings of the server. Each connection is bounded by times of our own.
_UNSUPPORTED = re.compile(
    r"(connect_timeout|keepalives\w*|tcp_user_timeout|fallback_application_name|gssencmode|load_balance_hosts|sslcompression|sslsni)="
    r"|channel_binding=(disable|prefer)$"
)
SESSION_ATTRIBUTES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def dsn_of(url: str) -> str:
    """Return the URL as the driver takes it; raise DatabaseUnusable where it cannot be read.

    A user and a password are taken as they stand, percent-encoded or not, wherever what follows leaves only one reading.
    """
    scheme, separator, rest = url.strip().partition("://")
    ends = [end for end, sign in enumerate(rest) if sign == "@"]
    if scheme not in _SCHEMES or not separator:
        raise unreadable()
    if _is_address(rest):
        return _dsn("", rest)
    for end in ends:
        if _is_address(rest[end + 1 :]):
            user, colon, password = rest[:end].partition(":")
            return _dsn(f"{_quoted(user)}{colon}{_quoted(password)}@", rest[end + 1 :])
    raise unreadable()


def _dsn(credentials: str, address: str) -> str:
    address, _, options = address.partition("?")
    kept = [option for option in options.split("&") if option and not _UNSUPPORTED.match(option)]
    dsn = f"postgresql://{credentials}{address}" + (f"?{'&'.join(kept)}" if kept else "")
    try:
        attributes = options_of(dsn).get("target_session_attrs", "any")
    except ValueError:
        raise unreadable() from None
    if attributes not in SESSION_ATTRIBUTES:
        raise DatabaseUnusable(f"target_session_attrs of the database URL must be one of {', '.join(SESSION_ATTRIBUTES)}.")
    return dsn


def _quoted(text: str) -> str:
    return quote(unquote(text), safe="")


def unreadable() -> DatabaseUnusable:
    return DatabaseUnusable(f"The database URL cannot be read: {EXAMPLE}.")


def without_password(dsn: str) -> str:
    """Return the URL for messages."""
    parts = urlsplit(dsn)
    user, _, hosts = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}@{hosts}" if user else hosts
    shown = [(name, value) for name, value in parse_qsl(parts.query) if name not in ("password", "sslpassword")]
    # Put together by hand: urlunsplit leaves out the slashes of a URL without a host, which is that of a Unix socket.
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{urlencode(shown, safe='/')}" if shown else "")


def unreadable_file(dsn: str, error: OSError) -> DatabaseUnusable | None:
    """Return what is wrong with a file that the URL names, where that is why it cannot be connected to."""
    is_about_files = isinstance(error, FileNotFoundError | PermissionError | ssl.SSLError)
    if isinstance(error, ssl.SSLCertVerificationError) or not is_about_files:
        return None
    for name in FILES:
        path = options_of(dsn).get(name)
        if path and (not os.access(path, os.R_OK) or isinstance(error, ssl.SSLError)):
            return DatabaseUnusable(f"{name} of the database URL names no file that can be used: {path} ({error}).")
    return None


def options_of(dsn: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(dsn).query))


def each_host(dsn: str) -> list[str]:
    """Return the URL of each of its hosts: the driver's time for a connection is for all of them together."""
    parts, options = urlsplit(dsn), options_of(dsn)
    credentials, at, hosts = parts.netloc.rpartition("@")
    if "," in hosts:
        query = f"?{parts.query}" if parts.query else ""
        return [f"postgresql://{credentials}{at}{host}{parts.path}{query}" for host in hosts.split(",")]
    if hosts or "," not in options.get("host", ""):
        return [dsn]
    listed, ports = options["host"].split(","), options.get("port", "").split(",")
    if len(ports) not in (1, len(listed)):
        raise unreadable()
    pairs = zip(listed, ports if len(ports) > 1 else ports * len(listed), strict=True)
    singles = [options | {"host": host} | ({"port": port} if port else {}) for host, port in pairs]
    return [f"postgresql://{parts.netloc}{parts.path}?{urlencode(single)}" for single in singles]

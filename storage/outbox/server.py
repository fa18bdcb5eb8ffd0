"""Which mail server to use, and how safely, from one URL."""

import ipaddress
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl, unquote, urlsplit

EXAMPLE = (
    "write it like smtp://user:password@mail.homes.example:587, in the user and the password % as %25, "
    "and in the user : as %3A (so may be written what else there is, such as / as %2F)"
)


class Encryption(Enum):
    STARTTLS = 587
    TLS = 465
    OFF = 25


@dataclass(frozen=True, slots=True)
class MailServer:
    host: str
    port: int
    encryption: Encryption
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def mail_server(url: str) -> MailServer:
    """Read `smtp://…` (STARTTLS required), `smtps://…`, or `smtp://localhost:25?tls=off`; raise ValueError for anything else.

    The user ends at the first colon, the password at the last `@`: whatever else is in them, a user's own `@` too, needs no
    percent-encoding. The error never repeats the URL, which may hold a password.
    """
    scheme, _, rest = url.strip().partition("://")
    credentials, _, address = rest.rpartition("@")
    user, _, password = credentials.partition(":")
    try:
        parts = urlsplit(f"smtp://{address}")
        host, port = parts.hostname, parts.port
        user, password = (unquote(part, errors="strict") for part in (user, password))
    except ValueError:
        raise ValueError(f"The mail server's URL cannot be read: {EXAMPLE}.") from None
    is_one_word = address.isprintable() and " " not in address
    if scheme not in {"smtp", "smtps"} or not host or parts.path not in {"", "/"} or parts.fragment or not is_one_word:
        raise ValueError(f"The mail server's URL cannot be read: {EXAMPLE}.")
    if bool(user) != bool(password) or (not user and "@" in rest):
        raise ValueError(f"The mail server needs both a user and a password, or neither: {EXAMPLE}.")
    encryption = _encryption(scheme, parts.query, host)
    return MailServer(host, port or encryption.value, encryption, user or None, password or None)


def _encryption(scheme: str, query: str, host: str) -> Encryption:
    options = parse_qsl(query, keep_blank_values=True)
    if not options:
        return Encryption.TLS if scheme == "smtps" else Encryption.STARTTLS
    if options != [("tls", "off")] or scheme == "smtps":
        raise ValueError("The only option of a mail server's URL is ?tls=off, of smtp:// alone. Remove the others.")
    if not _on_this_machine(host):
        raise ValueError("A mail server elsewhere must use TLS: remove ?tls=off from its URL.")
    return Encryption.OFF


def _on_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

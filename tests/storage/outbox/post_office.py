"""A real mail server for tests: it keeps the letters it takes, and at each step of SMTP does what it is told instead."""

import asyncio
import datetime
import ssl
from collections.abc import Awaitable, Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from icalendar import Calendar

from storage.outbox.server import Encryption, MailServer
from tests.certificates import certificate

Answer = str | Callable[[SMTP], Awaitable[str]]


async def hang(_server: SMTP) -> str:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")


async def cut(server: SMTP) -> str:
    server.transport.abort()
    return "250 nobody reads this"


class PostOffice:
    """`letters` are those that arrived, whatever was answered to them; `answers` says what to do at MAIL, RCPT or DATA."""

    def __init__(self, **options: Any) -> None:
        self.letters: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.connections = 0
        self.answers: dict[str, Answer] = {}
        self._options = options
        self._open: list[SMTP] = []

    async def start(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._connection, "127.0.0.1", port, ssl=tls)

    async def stop(self) -> None:
        self._server.close()
        for connection in self._open:
            if connection.transport:
                connection.transport.abort()
        await asyncio.sleep(0.01)

    @property
    def port(self) -> int:
        return self._server.sockets[0].getsockname()[1]

    @property
    def mail_server(self) -> MailServer:
        return MailServer("127.0.0.1", self.port, Encryption.OFF)

    @property
    def message_ids(self) -> list[str]:
        return [letter["Message-ID"] for letter in self.letters]

    def _connection(self) -> SMTP:
        self.connections += 1
        connection = SMTP(self, hostname="mail.test", loop=asyncio.get_running_loop(), **self._options)
        self._open.append(connection)
        return connection

    async def _answer(self, step: str, server: SMTP) -> str:
        answer = self.answers.get(step, "250 OK")
        return answer if isinstance(answer, str) else await answer(server)

    async def handle_MAIL(self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802
        envelope.mail_from = address
        return await self._answer("MAIL", server)

    async def handle_RCPT(self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return await self._answer("RCPT", server)

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        letter = message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.recipients += envelope.rcpt_tos
        return await self._answer("DATA", server)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for knows of no events
            await asyncio.sleep(0.01)


def invitation(letter: EmailMessage) -> tuple[str, int]:
    """Return the visit that an invitation is for, and its number among those of the visit."""
    [event] = _calendar(letter).events
    return event["UID"].removeprefix("home-visit-"), event["SEQUENCE"]


def entry(letter: EmailMessage) -> tuple[str, datetime.datetime]:
    """Return what a letter does to a calendar, and for which time."""
    calendar = _calendar(letter)
    [event] = calendar.events
    return str(calendar["METHOD"]), event.start


def plain_text(letter: EmailMessage) -> str:
    return str(letter.get_body(("plain",)).get_content()).replace("\r\n", "\n")


def facts(letter: EmailMessage) -> dict[str, str]:
    """Return the table of a letter as its plain text has it."""
    table = plain_text(letter).split("\n\n")[2]
    return dict(line.split(": ", 1) for line in table.splitlines())


def _calendar(letter: EmailMessage) -> Calendar:
    [part] = [part for part in letter.walk() if part.get_content_type() == "text/calendar"]
    calendar = Calendar.from_ical(part.get_content())
    assert part.get_param("method") == calendar["METHOD"]
    return calendar


def only(user: str, password: str) -> Callable[..., AuthResult]:
    """Let in one user, and tell any other more than a server should."""

    def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, credentials: Any) -> AuthResult:
        right = (credentials.login, credentials.password) == (user.encode(), password.encode())
        return AuthResult(
            success=right, handled=False, message=None if right else f"535 {credentials.password.decode()} is wrong"
        )

    return authenticate


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate for 127.0.0.1; return what a server shows it with, and what a client trusts it with."""
    file = folder / "certificate.pem"
    file.write_text("".join(certificate("127.0.0.1")))
    shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    shown.load_cert_chain(file)
    return shown, ssl.create_default_context(cafile=str(file))

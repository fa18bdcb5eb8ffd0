"""How a letter leaves: over SMTP, or, while developing, into a folder."""

import asyncio
import contextlib
import logging
import re
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from storage.outbox.mailroom import FINISHED, UNFINISHED
from storage.outbox.server import Encryption, MailServer

TIMEOUT_SECONDS = 15.0
FAREWELL_SECONDS = 2.0
LONGEST_REPLY = 200

log = logging.getLogger(__name__)


class NotSent(Exception):
    """The letter was not taken, for the reason that the message tells; it may be later."""


class Refused(NotSent):
    """The letter was not taken and never will be."""


class Unreachable(NotSent):
    """No letter would have been taken: the mail server does not answer, or does not let us in."""


class Transport(Protocol):
    async def send(self, letter: EmailMessage) -> None:
        """Hand a letter over to its one recipient; raise NotSent."""


class Smtp:
    """Sends over one mail server. What the server says becomes a reason, without addresses and passwords."""

    def __init__(
        self, server: MailServer, *, timeout: float = TIMEOUT_SECONDS, tls_context: ssl.SSLContext | None = None
    ) -> None:
        self._server = server
        self._timeout = timeout
        self._tls_context = tls_context

    async def send(self, letter: EmailMessage) -> None:
        recipient, envelope_sender = _only_address(letter, "To"), _only_address(letter, "From")
        try:
            async with self._connected() as client:
                await client.sendmail(envelope_sender, [recipient], letter.as_bytes())
        except SMTPRecipientsRefused as refused:
            answer = refused.recipients[0]
            raise _failure("the recipient", answer, recipient) from None
        except SMTPDataError as answer:
            raise _failure("the email", answer, recipient) from None
        except SMTPAuthenticationError as answer:
            raise Unreachable(f"The mail server refused the user or the password: {answer.code}") from None
        except SMTPSenderRefused as answer:
            raise Unreachable(_with_reply("The mail server refused the sender", answer, recipient)) from None
        except SMTPResponseException as answer:
            raise Unreachable(_with_reply("The mail server refused to talk", answer, recipient)) from None
        except (SMTPException, OSError) as failure:
            raise Unreachable(f"The mail server could not be used: {_plain(str(failure), recipient)}") from None

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[SMTP]:
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.encryption is Encryption.TLS,
            start_tls=server.encryption is Encryption.STARTTLS,
            timeout=self._timeout,
            tls_context=self._tls_context,
        )
        await client.connect()
        try:
            yield client
            # The letter is taken: whatever goes wrong with the farewell, it must not be sent again.
            with contextlib.suppress(SMTPException, OSError):
                await client.quit(timeout=FAREWELL_SECONDS)
        finally:
            client.close()


class Folder:
    """Writes each letter to a file that a mail program opens. The same letter twice is the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, letter: EmailMessage) -> None:
        file = self._path / f"{letter['Message-ID'].strip('<>').partition('@')[0]}{FINISHED}"
        try:
            await asyncio.to_thread(self._write, file, letter.as_bytes())
        except OSError as failure:
            raise Unreachable(f"The email could not be written to {file}: {failure.strerror}") from None
        log.info("An email that would have been sent is in %s", file)

    def _write(self, file: Path, content: bytes) -> None:
        # Letters name people: they are for the owner of the process alone.
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.chmod(0o700)
        unfinished = file.with_suffix(UNFINISHED)
        unfinished.unlink(missing_ok=True)
        unfinished.touch(0o600)
        unfinished.write_bytes(content)
        unfinished.replace(file)


def _only_address(letter: EmailMessage, header: str) -> str:
    (address,) = letter[header].addresses
    return str(address.addr_spec)


def _failure(what: str, answer: SMTPResponseException, recipient: str) -> NotSent:
    if 500 <= answer.code <= 599:
        return Refused(_with_reply(f"The mail server refused {what}", answer, recipient))
    return NotSent(_with_reply(f"The mail server did not take {what}", answer, recipient))


def _with_reply(sentence: str, answer: SMTPResponseException, recipient: str) -> str:
    return f"{sentence}: {answer.code} {_plain(answer.message, recipient)}".rstrip()


def _plain(reply: str, recipient: str) -> str:
    """Keep what explains a failure, not whom it was about: reasons are seen by more people than addresses are."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in reply).split())
    line = re.sub(r"[^\s<>\"']+@[^\s<>\"']+", "…", line)
    local_part = recipient.partition("@")[0]
    return re.sub(rf"\b{re.escape(local_part)}\b", "…", line, flags=re.IGNORECASE)[:LONGEST_REPLY]

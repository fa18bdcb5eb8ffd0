"""Handing letters to a real mail server, and what is made of its answers."""

import asyncio
import logging
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from storage.outbox.letter import compose
from storage.outbox.server import Encryption, MailServer
from storage.outbox.transports import Folder, NotSent, Refused, Smtp, Unreachable
from tests.storage.outbox.post_office import PostOffice, contexts, cut, hang, only
from tests.storage.outbox.records import LETTERHEAD, enquiry, location, message, visit

PASSWORD = "p:w/@%ö"  # noqa: S105 - of no real server


def a_letter(**changes: Any) -> EmailMessage:
    return compose(message(), visit(), enquiry(**changes), location(), LETTERHEAD)


@asynccontextmanager
async def secured(*, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[PostOffice]:
    office = PostOffice(**options)
    await office.start(tls=tls)
    try:
        yield office
    finally:
        await office.stop()


async def test_a_letter_arrives_as_it_was_written_for_its_one_recipient(post_office: PostOffice) -> None:
    letter = a_letter()

    await Smtp(post_office.mail_server).send(letter)

    [arrived] = post_office.letters
    assert arrived.as_bytes(policy=letter.policy) == letter.as_bytes()
    assert post_office.recipients == ["ada@family.example"]


@pytest.mark.parametrize(
    ("step", "answer", "failure", "reason"),
    [
        ("RCPT", "451 4.2.1 try later", NotSent, "The mail server did not take the recipient: 451 4.2.1 try later"),
        ("RCPT", "452 mailbox full", NotSent, "The mail server did not take the recipient: 452 mailbox full"),
        ("RCPT", "550 5.1.1 unknown", Refused, "The mail server refused the recipient: 550 5.1.1 unknown"),
        ("DATA", "451 greylisted", NotSent, "The mail server did not take the email: 451 greylisted"),
        ("DATA", "554 5.7.1 spam", Refused, "The mail server refused the email: 554 5.7.1 spam"),
        ("MAIL", "550 not your address", Unreachable, "The mail server refused the sender: 550 not your address"),
        ("MAIL", "421 closing", Unreachable, "The mail server refused the sender: 421 closing"),
    ],
)
async def test_each_answer_of_the_server_is_told_and_judged(
    post_office: PostOffice, step: str, answer: str, failure: type[NotSent], reason: str
) -> None:
    post_office.answers[step] = answer

    with pytest.raises(NotSent) as failed:
        await Smtp(post_office.mail_server).send(a_letter())

    assert type(failed.value) is failure
    assert str(failed.value) == reason


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (hang, "The mail server could not be used: Timed out waiting for server response"),
        (cut, "The mail server could not be used: Unexpected EOF received"),
    ],
)
async def test_a_server_that_hangs_or_goes_away_took_nothing_that_can_be_relied_on(
    post_office: PostOffice, step: str, trouble: Callable[[SMTP], Any], reason: str
) -> None:
    post_office.answers[step] = trouble

    with pytest.raises(Unreachable) as failed:
        await Smtp(post_office.mail_server, timeout=0.2).send(a_letter())

    assert str(failed.value) == reason


async def test_a_server_that_is_not_there_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]

    with pytest.raises(Unreachable, match=r"^The mail server could not be used: Error connecting to 127.0.0.1 on port"):
        await Smtp(MailServer("127.0.0.1", port, Encryption.OFF)).send(a_letter())


async def test_a_server_that_never_greets_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = MailServer("127.0.0.1", silent.getsockname()[1], Encryption.OFF)

        with pytest.raises(Unreachable) as failed:
            await Smtp(server, timeout=0.2).send(a_letter())

    assert str(failed.value) == "The mail server could not be used: Timed out waiting for server ready message"


async def test_a_server_that_hangs_up_without_a_farewell_has_taken_the_letter(post_office: PostOffice) -> None:
    async def take_and_leave(server: SMTP) -> str:
        asyncio.get_running_loop().call_later(0.01, server.transport.close)
        return "250 OK"

    post_office.answers["DATA"] = take_and_leave

    await Smtp(post_office.mail_server).send(a_letter())

    assert len(post_office.letters) == 1


async def test_starttls_protects_the_letter_and_the_password(tmp_path: Path) -> None:
    shown, trusted = contexts(tmp_path)
    user = only("me@homes.example", PASSWORD)
    async with secured(authenticator=user, auth_required=True, tls_context=shown, require_starttls=True) as office:
        server = replace(office.mail_server, encryption=Encryption.STARTTLS, user="me@homes.example", password=PASSWORD)

        await Smtp(server, tls_context=trusted).send(a_letter())

    assert len(office.letters) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # the server cannot see the TLS around it
async def test_tls_from_the_start_protects_the_letter_and_the_password(tmp_path: Path) -> None:
    shown, trusted = contexts(tmp_path)
    async with secured(authenticator=only("me", PASSWORD), auth_required=True, auth_require_tls=False, tls=shown) as office:
        server = replace(office.mail_server, encryption=Encryption.TLS, user="me", password=PASSWORD)

        await Smtp(server, tls_context=trusted).send(a_letter())

    assert len(office.letters) == 1


async def test_a_server_without_starttls_gets_neither_letter_nor_password() -> None:
    async with secured(authenticator=only("me", PASSWORD), auth_require_tls=False) as office:
        server = replace(office.mail_server, encryption=Encryption.STARTTLS, user="me", password=PASSWORD)

        with pytest.raises(Unreachable) as failed:
            await Smtp(server).send(a_letter())

    assert str(failed.value) == "The mail server could not be used: SMTP STARTTLS extension not supported by server."
    assert office.letters == []


async def test_a_server_with_a_certificate_that_nobody_vouches_for_gets_nothing(tmp_path: Path) -> None:
    shown, _ = contexts(tmp_path)
    async with secured(tls_context=shown, require_starttls=True) as office:
        server = replace(office.mail_server, encryption=Encryption.STARTTLS)

        with pytest.raises(Unreachable, match="certificate verify failed: self-signed certificate"):
            await Smtp(server).send(a_letter())

    assert office.letters == []


async def test_a_wrong_password_is_told_without_the_password() -> None:
    async with secured(authenticator=only("me", "other"), auth_require_tls=False) as office:
        server = replace(office.mail_server, user="me", password="canary")  # noqa: S106 - of no real server

        with pytest.raises(Unreachable) as failed:
            await Smtp(server).send(a_letter())

    assert str(failed.value) == "The mail server refused the user or the password: 535"
    assert "canary" not in "".join(traceback.format_exception(failed.value))


async def test_a_reason_does_not_say_whom_it_is_about(post_office: PostOffice) -> None:
    post_office.answers["RCPT"] = "550 5.1.1 <ada@family.example>: ADA is unknown at family.example\t(for ada@family.example)"

    with pytest.raises(Refused) as failed:
        await Smtp(post_office.mail_server).send(a_letter())

    expected = "The mail server refused the recipient: 550 5.1.1 <…>: … is unknown at family.example (for …"
    assert str(failed.value) == expected


async def test_an_endless_reason_is_cut_short(post_office: PostOffice) -> None:
    post_office.answers["RCPT"] = "550 " + "no " * 160

    with pytest.raises(Refused) as failed:
        await Smtp(post_office.mail_server).send(a_letter())

    assert str(failed.value) == "The mail server refused the recipient: 550 " + ("no " * 67)[:200].rstrip()


async def test_letters_are_kept_in_a_folder_while_developing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    letter = a_letter()

    await Folder(tmp_path / "mail").send(letter)
    await Folder(tmp_path / "mail").send(letter)

    [file] = (tmp_path / "mail").iterdir()
    assert file.name == "6716c9a8000000000000000d.eml"
    assert message_from_bytes(file.read_bytes(), policy=default)["Subject"] == letter["Subject"]
    assert file.read_bytes() == letter.as_bytes()
    assert caplog.messages == [f"An email that would have been sent is in {file}"] * 2


async def test_a_folder_that_cannot_be_written_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file")

    with pytest.raises(Unreachable) as failed:
        await Folder(tmp_path / "mail").send(a_letter())

    file = tmp_path / "mail" / "6716c9a8000000000000000d.eml"
    assert str(failed.value) == f"The email could not be written to {file}: File exists"

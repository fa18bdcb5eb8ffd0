"""Confirmation emails, from a booking over HTTP to a mail server."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from storage.caller import Role
from tests.app.calling import SECRET, ask, get, token
from tests.conftest import APP, RunCommand, Server, StartServer, environment
from tests.storage.outbox.post_office import PostOffice, entry

SEEKER = "agnes.young@family.example"
MAIL_FROM = "Our Homes <visits@homes.example>"
BOOK = """mutation {
  bookHomeVisit(input: {
    careEnquiry: "67251cbede305d547963780e", dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: IN_PERSON
  }) { ... on BookHomeVisitSuccess { homeVisit { id confirmation } } }
}"""

CANCEL = """mutation {
  cancelHomeVisit(input: { id: "%s", notifyCareSeeker: true }) {
    ... on CancelHomeVisitSuccess { homeVisit { status confirmation } }
  }
}"""


@pytest.fixture
async def post_office() -> AsyncIterator[PostOffice]:
    office = PostOffice()
    await office.start()
    yield office
    await office.stop()


def book(server: Server, bearer: str | None) -> str:
    """Book a visit that is to be confirmed, and return its ID."""
    visit = ask(server.port, BOOK, bearer=bearer).json["data"]["bookHomeVisit"]["homeVisit"]
    assert visit["confirmation"] == "QUEUED"
    return str(visit["id"])


def confirmation(server: Server, id: str, bearer: str | None) -> str:
    answer = ask(server.port, f'{{ homeVisit(id: "{id}") {{ confirmation }} }}', bearer=bearer)
    return str(answer.json["data"]["homeVisit"]["confirmation"])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.05)


async def test_a_server_sends_what_is_booked(start_server: StartServer, post_office: PostOffice) -> None:
    mail = {"SMTP_URL": f"smtp://127.0.0.1:{post_office.port}?tls=off", "MAIL_FROM": MAIL_FROM}
    server, bearer = start_server("--demo", JWT_SECRET=SECRET, **mail), token(Role.COORDINATOR)

    visit = book(server, bearer)
    await until(lambda: post_office.letters)
    await until(lambda: confirmation(server, visit, bearer) == "SENT")

    numbers = get(server.port, "/metrics", Authorization=f"Bearer {token(Role.ADMIN)}")
    [letter] = post_office.letters
    assert (letter["To"], letter["From"]) == (SEEKER, MAIL_FROM)
    assert b"home_visits_outbox_sent 1.0" in numbers.body


async def test_a_visit_that_is_cancelled_is_taken_out_of_the_calendar_when_asked(
    start_server: StartServer, post_office: PostOffice
) -> None:
    mail = {"SMTP_URL": f"smtp://127.0.0.1:{post_office.port}?tls=off", "MAIL_FROM": MAIL_FROM}
    server, bearer = start_server("--demo", JWT_SECRET=SECRET, **mail), token(Role.COORDINATOR)
    visit = book(server, bearer)
    await until(lambda: confirmation(server, visit, bearer) == "SENT")

    answer = ask(server.port, CANCEL % visit, bearer=bearer)
    await until(lambda: confirmation(server, visit, bearer) == "SENT")

    assert answer.json["data"]["cancelHomeVisit"]["homeVisit"] == {"status": "CANCELLED", "confirmation": "QUEUED"}
    assert [entry(letter)[0] for letter in post_office.letters] == ["REQUEST", "CANCEL"]


async def test_development_leaves_letters_in_a_folder(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("--dev", "--demo")

    def letters() -> list[Path]:
        return list(tmp_path.glob("mail/*.eml"))

    book(server, None)
    await until(letters)

    [path] = letters()
    assert message_from_bytes(path.read_bytes(), policy=default)["To"] == SEEKER


@pytest.mark.slow
async def test_what_waits_is_listed_and_sent_without_a_server(
    start_server: StartServer, run_command: RunCommand, post_office: PostOffice
) -> None:
    mail = {"SMTP_URL": f"smtp://127.0.0.1:{post_office.port}?tls=off", "MAIL_FROM": MAIL_FROM}
    server, bearer = start_server("--demo", JWT_SECRET=SECRET), token(Role.COORDINATOR)
    visit = book(server, bearer)

    listed = await asyncio.to_thread(run_command, "outbox")
    delivered = await asyncio.to_thread(run_command, "deliver", "--once", **mail)
    after = await asyncio.to_thread(run_command, "outbox")

    waiting, total = listed.out.splitlines()
    message = waiting.partition(" ")[0]
    assert (waiting, total) == (f"{message}  QUEUED  visit {visit}  tries 0  not tried yet", "1 in all.")
    assert (delivered.code, delivered.err) == (0, "1 sent.\n")
    assert after.out == "0 in all.\n"
    assert [letter["To"] for letter in post_office.letters] == [SEEKER]
    assert confirmation(server, visit, bearer) == "SENT"


async def test_a_command_sends_what_comes_until_it_is_stopped(
    start_server: StartServer, post_office: PostOffice, tmp_path: Path
) -> None:
    mail = {"SMTP_URL": f"smtp://127.0.0.1:{post_office.port}?tls=off", "MAIL_FROM": MAIL_FROM}
    server, bearer = start_server("--demo", JWT_SECRET=SECRET), token(Role.COORDINATOR)
    delivering = await asyncio.create_subprocess_exec(
        sys.executable, APP, "deliver", cwd=tmp_path, env=environment(tmp_path, **mail), stdout=asyncio.subprocess.PIPE
    )

    book(server, bearer)
    await until(lambda: len(post_office.letters) == 1)
    book(server, bearer)
    await until(lambda: len(post_office.letters) == 2)
    delivering.terminate()
    out, _ = await delivering.communicate()

    assert delivering.returncode == 0
    assert [letter["To"] for letter in post_office.letters] == [SEEKER, SEEKER]
    assert out.decode().count("was sent") == 2


async def test_a_mail_server_that_is_down_is_one_line(start_server: StartServer, run_command: RunCommand) -> None:
    server = start_server("--demo", JWT_SECRET=SECRET)
    visit = book(server, token(Role.COORDINATOR))
    mail = {"SMTP_URL": "smtp://127.0.0.1:1?tls=off", "MAIL_FROM": MAIL_FROM}

    ended = await asyncio.to_thread(run_command, "deliver", "--once", **mail)
    listed = await asyncio.to_thread(run_command, "outbox")

    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith("home-visits: The mail server could not be used: ")
    assert f"QUEUED  visit {visit}  tries 1  " in listed.out


def test_only_what_was_given_up_can_be_retried(run_command_here: RunCommand) -> None:
    run_command_here("migrate")

    ended = run_command_here("outbox", "--retry", "67251cbede305d547963780e")

    assert ended == (0, "67251cbede305d547963780e is no message that was given up.\n0 in all.\n", "")


def test_what_is_no_text_is_no_message(run_command_here: RunCommand) -> None:
    run_command_here("migrate")

    ended = run_command_here("outbox", "--retry", "a\udcffb")

    assert ended == (0, "a?b is no message that was given up.\n0 in all.\n", "")

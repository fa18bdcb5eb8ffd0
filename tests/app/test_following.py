"""A server that follows a CareHQ account, which is a gateway of ours, and what does not go together with that."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest

from storage.caller import Role
from storage.database import Database
from tests import world
from tests.app.calling import SECRET, Answer, ask, call, get, token
from tests.app.conftest import ONE_OR_TWO
from tests.asking import database, world_file
from tests.conftest import Ended, RunCommand, Server, StartServer
from tests.resolvers.carehq import VISITS, Gateway, Key, gateway_over, sign
from tests.storage.carehq.live.faulty import Faulty, faulty

__all__ = ["database", "world_file"]

METRICS = "home_visits_carehq_"
ACCOUNT_ID = "6" * 24
CANARY = "canary-5f0c"
FOLLOWED = {
    "CAREHQ_URL": "https://api.carehq.example",
    "CAREHQ_ACCOUNT_ID": ACCOUNT_ID,
    "CAREHQ_KEY": "the-key",
    "CAREHQ_SECRET": CANARY,
}
ALL_OR_NONE = (
    "set all four, HOME_VISITS_CAREHQ_URL and HOME_VISITS_CAREHQ_ACCOUNT_ID, HOME_VISITS_CAREHQ_KEY, HOME_VISITS_CAREHQ_SECRET, "
    "or none"
)
UNUSABLE_URL = "Settings that cannot be used: HOME_VISITS_CAREHQ_URL: "
OVER = "Where that is over, unset HOME_VISITS_CAREHQ_URL."
AWAY = "CareHQ cannot be used for now: it cannot be reached: Connection refused."
SOURCE = "{ source { kind lastSynced } homeVisits { totalCount } }"
BOOK = """mutation ($input: BookHomeVisitInput!) { bookHomeVisit(input: $input) {
    __typename ... on UserError { message } ... on BookHomeVisitSuccess { homeVisit { id confirmation } } } }"""
CHANGES = {
    "updateHomeVisit": 'mutation { updateHomeVisit(input: { id: "$", notes: "Rang up." }) { __typename } }',
    "cancelHomeVisit": 'mutation { cancelHomeVisit(input: { id: "$" }) { __typename } }',
    "completeHomeVisit": 'mutation { completeHomeVisit(input: { id: "$" }) { __typename } }',
}
HISTORY = "query ($id: ID!) { homeVisit(id: $id) { history { nodes { actor type } } } }"


MAIL = {"SMTP_URL": "smtp://mail.homes.example", "MAIL_FROM": "visits@homes.example"}
# What is refused in a followed database, and what is said of it.
DONE_THERE = {
    ("import", "home_visits.json"): "Documents come from CareHQ",
    ("anonymize", "--older-than", "730", "--dry-run"): "Personal data are wiped in CareHQ",
    ("person", "--care-enquiry", world.FOR_WILLOWS, "--erase"): "Personal data are wiped in CareHQ",
    ("deliver", "--once"): "Emails are sent by CareHQ",
    ("outbox", "--retry", world.UNKNOWN): "Emails are sent by CareHQ",
    ("follow", "--end"): "Changes go to CareHQ",
}


class Account(NamedTuple):
    """`settings` follow it by `key`, through a proxy; `end` makes it unreachable."""

    gateway: Gateway
    key: Key
    proxy: Faulty
    settings: dict[str, str]
    end: Callable[[], Any]


@pytest.fixture
async def account(database: Database) -> AsyncIterator[Account]:
    async with gateway_over(database) as gateway, AsyncExitStack() as proxies:
        proxy, origin = await proxies.enter_async_context(faulty(gateway.origin))
        key = await gateway.key()
        settings = {"CAREHQ_URL": origin, "CAREHQ_ACCOUNT_ID": key.account_id, "CAREHQ_KEY": key.key, "CAREHQ_SECRET": key.secret}
        yield Account(gateway, key, proxy, settings | {"CAREHQ_POLL_SECONDS": "1"}, proxies.aclose)


class Client(NamedTuple):
    server: Server

    async def ask(self, document: str, **variables: Any) -> Any:
        bearer = token(Role.COORDINATOR, Role.VIEWER)
        return (await asyncio.to_thread(ask, self.server.port, document, variables, bearer=bearer)).json

    async def book(self, **values: Any) -> Any:
        visit = {
            "careEnquiry": world.FOR_WILLOWS,
            "dateTime": "2031-03-03T14:30:00Z",
            "host": "MANAGER",
            "visitType": "IN_PERSON",
        }
        return await self.ask(BOOK, input=visit | values)

    async def get(self, path: str) -> Answer:
        return await asyncio.to_thread(get, self.server.port, path, Authorization=f"Bearer {token(Role.ADMIN)}")

    async def metrics(self) -> dict[str, float]:
        lines = (await self.get("/metrics")).body.decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name.startswith(METRICS)}

    async def until_followed(self) -> Any:
        async with asyncio.timeout(60):
            while not (answer := await self.ask(SOURCE))["data"]["source"]["lastSynced"]:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.05)
        return answer["data"]


def make_key(run_command: RunCommand) -> Key:
    return Key(*run_command("key", "--role", "COORDINATOR", "--name", "script", KEYS_SECRET=SECRET).out.splitlines())


@ONE_OR_TWO
async def test_a_server_follows_an_account_and_every_change_goes_there_first(
    account: Account, start_server: StartServer, run_command_here: RunCommand, flags: tuple[str, ...]
) -> None:
    server = await asyncio.to_thread(start_server, *flags, JWT_SECRET=SECRET, KEYS_SECRET=SECRET, **account.settings)
    client = Client(server)
    before = await client.until_followed()

    booked = (await client.book(notes="Élan & co", idempotencyKey="once"))["data"]["bookHomeVisit"]
    again = (await client.book(notes="Élan & co", idempotencyKey="once"))["data"]["bookHomeVisit"]
    id = booked["homeVisit"]["id"]
    results = {
        name: (await client.ask(document.replace("$", id)))["data"][name]["__typename"] for name, document in CHANGES.items()
    }
    key, path = await asyncio.to_thread(make_key, run_command_here), f"{VISITS}/{world.PENDING}/complete"
    completed = await asyncio.to_thread(call, server.port, "PATCH", path, None, sign(key, "PATCH", path))
    history = [(await client.ask(HISTORY, id=one))["data"]["homeVisit"]["history"]["nodes"] for one in (id, world.PENDING)]
    async with asyncio.timeout(60):
        # One of two workers looks how far the other one is when it would read itself.
        while not (metrics := await client.metrics()).get(f"{METRICS}lag_seconds", 60) < 60:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.05)

    assert before == {
        "source": {"kind": "MIRROR", "lastSynced": before["source"]["lastSynced"]},
        "homeVisits": {"totalCount": 24},
    }
    assert booked == {"__typename": "BookHomeVisitSuccess", "homeVisit": {"id": id, "confirmation": "NOT_REQUIRED"}}
    assert again == booked
    assert results == {
        "updateHomeVisit": "UpdateHomeVisitSuccess",
        "cancelHomeVisit": "CancelHomeVisitSuccess",
        "completeHomeVisit": "HomeVisitNotPendingError",
    }
    assert completed.status == 200
    changes = [f"{method} {path}" for method, path in account.proxy.requests if method != "GET"]
    assert changes == [f"PUT {VISITS}", f"PATCH {VISITS}/{id}", f"PATCH {VISITS}/{id}/cancel", f"PATCH {path}"]
    assert history == [
        [{"actor": "amy", "type": type} for type in ("BOOKED", "UPDATED", "CANCELLED")],
        [{"actor": "import", "type": "IMPORTED"}, {"actor": "script", "type": "COMPLETED"}],
    ]
    assert (metrics[f"{METRICS}refused_total"], metrics[f"{METRICS}vanished"]) == (0, 0)


async def test_while_the_account_is_away_reads_go_on_and_nothing_is_written(
    account: Account, start_server: StartServer, run_command_here: RunCommand
) -> None:
    server = await asyncio.to_thread(start_server, "--dev", KEYS_SECRET=SECRET, **account.settings)
    client = Client(server)
    await client.until_followed()
    key, path = await asyncio.to_thread(make_key, run_command_here), f"{VISITS}/{world.PENDING}/cancel"

    await account.end()
    [refused] = (await client.book())["errors"]
    at_v1 = await asyncio.to_thread(call, server.port, "PATCH", path, None, sign(key, "PATCH", path))
    answer, ready = await client.ask(SOURCE), await client.get("/readyz")
    async with asyncio.timeout(60):
        while "CareHQ is not followed" not in server.log.read_text():  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.05)
    mail = (await client.get("/metrics")).body.count(b"home_visits_outbox_sent")
    code = await asyncio.to_thread(server.stop)

    assert (refused["extensions"]["code"], refused["message"]) == (
        "UPSTREAM_UNAVAILABLE",
        f"{AWAY} Try again later.",
    )
    assert (at_v1.status, at_v1.json["hint"]) == (503, f"{AWAY} Nothing was changed. Try again later.")
    assert (answer["data"]["homeVisits"], answer["data"]["source"]["kind"]) == ({"totalCount": 24}, "MIRROR")
    # Development writes letters to a folder, and here CareHQ sends them.
    assert (ready.status, mail, code) == (200, 0, 0)
    log = server.log.read_text()
    why = "It cannot be used for now: it cannot be reached: Connection refused. Trying again in"
    assert re.search(rf"CareHQ is not followed, and was last read to its end: \d{{4}}-\S+ \S+ UTC. {why}", log)
    assert (account.key.secret in log, account.key.key in log) == (False, False)


async def test_a_command_reads_what_has_changed_until_it_is_ended(
    run_command_here: RunCommand, run_command: RunCommand, account: Account
) -> None:
    def follow(*flags: str, **settings: str) -> Ended:
        return run_command_here("follow", *flags, **settings)

    first = await asyncio.to_thread(follow, "--once", **account.settings)
    second = await asyncio.to_thread(follow, "--once", **account.settings)
    other = await asyncio.to_thread(follow, "--once", **account.settings | {"CAREHQ_ACCOUNT_ID": ACCOUNT_ID})
    unset = await asyncio.to_thread(run_command, "serve", "--dev", "--port", "0")
    kept = [await asyncio.to_thread(run_command_here, *words, **MAIL) for words in DONE_THERE if words != ("follow", "--end")]
    ended = await asyncio.to_thread(follow, "--end")
    # It is asked again: nobody has to wait until a lease ends.
    after = [await asyncio.to_thread(follow, "--once", **account.settings | {"CAREHQ_SECRET": CANARY}) for _ in range(2)]

    assert (first.code, first.err.splitlines()[-1]) == (0, "home_visits: 24 new, 0 updated, 0 unchanged, 0 refused")
    assert (second.code, second.err.splitlines()[-1]) == (0, "home_visits: 0 new, 0 updated, 0 unchanged, 0 refused")
    sentence = f"follows the CareHQ account {account.key.account_id}, and HOME_VISITS_CAREHQ_"
    assert (other.code, unset.code) == (1, 1)
    assert f"{sentence}ACCOUNT_ID names another one: set it as it was" in other.err
    assert f"{sentence}URL is not set: set it as it was" in unset.err
    assert [one for one in kept if one.code != 1 or f"{sentence}URL is not set" not in one.err] == []
    assert (ended.code, ended.err.partition(" follows ")[2]) == (
        0,
        "no CareHQ account, and keeps its visits itself from now on.\n",
    )
    hint = "The signature does not match. Check the account ID, the key and its secret."
    refused = f"home-visits: CareHQ refuses a request (401: {hint}). Check the key that it is called with.\n"
    assert after == [(1, "", refused)] * 2


def test_nobody_follows_themselves(run_command_here: RunCommand) -> None:
    made = run_command_here("key", "--role", "COORDINATOR", KEYS_SECRET=SECRET)
    settings = FOLLOWED | dict(zip(("CAREHQ_ACCOUNT_ID", "CAREHQ_KEY", "CAREHQ_SECRET"), made.out.splitlines(), strict=True))

    ended = run_command_here("follow", "--once", **settings)

    assert ended.code == 1
    assert (
        " itself, which cannot follow itself: set the key of another account, or another HOME_VISITS_DATABASE_URL." in ended.err
    )


@pytest.mark.parametrize(
    ("flags", "settings", "sentence"),
    [
        ((), {"CAREHQ_KEY": ""}, f"HOME_VISITS_CAREHQ_URL is set, and HOME_VISITS_CAREHQ_KEY is not: {ALL_OR_NONE}."),
        (
            (),
            {"CAREHQ_URL": "", "CAREHQ_ACCOUNT_ID": ""},
            (f"HOME_VISITS_CAREHQ_KEY and HOME_VISITS_CAREHQ_SECRET are set, and HOME_VISITS_CAREHQ_URL is not: {ALL_OR_NONE}."),
        ),
        (
            (),
            {"CAREHQ_SECRET": f"{CANARY} {CANARY}"},
            "HOME_VISITS_CAREHQ_SECRET has a character that is in none: copy it as CareHQ shows it.",
        ),
        (
            (),
            {"CAREHQ_URL": "http://api.carehq.example"},
            f"{UNUSABLE_URL}personal data would pass in the clear: use https.",
        ),
        (
            (),
            {"CAREHQ_URL": f"ftp://{CANARY}@api.carehq.example"},
            f"{UNUSABLE_URL}this is no base URL: write one like https://api.carehq.co.uk.",
        ),
        *(
            (
                (),
                {"CAREHQ_URL": f"https://{netloc}"},
                f"{UNUSABLE_URL}this is no base URL: write one like https://api.carehq.co.uk.",
            )
            for netloc in (
                f"api.carehq.example:{CANARY}",
                "api.carehq.example:99999",
                f":{CANARY}@api.carehq.example",
                "api carehq",
            )
        ),
        (
            (),
            {"CAREHQ_POLL_SECONDS": "0.5"},
            ("Settings that cannot be used: HOME_VISITS_CAREHQ_POLL_SECONDS: Input should be greater than or equal to 1."),
        ),
        (
            (),
            {"SMTP_URL": f"smtp://user:{CANARY}@mail.homes.example"},
            (
                "CareHQ itself sends the emails of an account that is followed: unset HOME_VISITS_SMTP_URL, "
                "or HOME_VISITS_CAREHQ_URL."
            ),
        ),
        (
            (),
            {"ANONYMIZE_OLDER_THAN_DAYS": "730"},
            (
                "Personal data of an account that is followed are wiped in CareHQ: unset HOME_VISITS_ANONYMIZE_OLDER_THAN_DAYS, "
                "or HOME_VISITS_CAREHQ_URL."
            ),
        ),
        (("--dev", "--demo"), {}, f"Made-up visits are nothing for CareHQ, whose account is followed here. {OVER}"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run_command_here: RunCommand, flags: tuple[str, ...], settings: dict[str, str], sentence: str
) -> None:
    ended = run_command_here("serve", *flags, "--port", "0", JWT_SECRET=SECRET, **FOLLOWED | settings)

    assert (ended.code, ended.err) == (1, f"home-visits: {sentence}\n")
    assert CANARY not in ended.err


@pytest.mark.parametrize(("words", "sentence"), DONE_THERE.items())
def test_what_is_done_in_the_account_is_refused_here(run_command_here: RunCommand, words: tuple[str, ...], sentence: str) -> None:
    ended = run_command_here(*words, **FOLLOWED)

    assert ended == (1, "", f"home-visits: {sentence}, whose account is followed here. {OVER}\n")


def test_without_an_account_there_is_nothing_to_follow(run_command_here: RunCommand) -> None:
    ended = run_command_here("follow")

    assert ended == (1, "", f"home-visits: No CareHQ account is set up to be followed: {ALL_OR_NONE}.\n")

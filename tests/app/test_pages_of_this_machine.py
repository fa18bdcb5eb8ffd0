"""Which pages may ask from a browser in development: those of this machine, on any port, and none from elsewhere."""

import asyncio
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from storage.caller import Role
from tests.app.calling import COUNT, SECRET, ask, call, token
from tests.conftest import Server, StartServer

VISITS_SITE = "https://visits.example"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# A page of elsewhere is one whose name no longer is that of this machine to the server, and still is to the browser.
FLAGS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP elsewhere.example 127.0.0.1"]
FETCH = """
([url, query]) => fetch(url, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ query }),
}).then((response) => response.json(), (error) => error.name)
"""


LOCAL_SITES = ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:4200", "https://localhost", "http://127.0.0.1"]


@pytest.mark.parametrize("site", LOCAL_SITES)
def test_in_development_pages_of_this_machine_may_send_requests_whatever_their_port(
    development_server: Server, site: str
) -> None:
    wishes = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}

    preflight = call(development_server.port, "OPTIONS", "/graphql", headers={"Origin": site, **wishes})
    answer = ask(development_server.port, COUNT, headers={"Origin": site})

    allowed = ("Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers")
    assert (preflight.status, *map(preflight.headers.get, allowed)) == (204, site, "POST", "Authorization, *")
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"], list(answer.json)) == (200, site, ["data"])


OTHER_SITES = [
    "https://evil.example",
    "http://localhost.evil.example:5173",
    "http://evil.example:8080",
    "http://127.0.0.1.evil.example",
    "http://192.0.2.1:5173",
    "http://localhost:5173@evil.example",
    "null",
    "",
    "file://",
    "http://",
]


@pytest.mark.parametrize("site", OTHER_SITES)
def test_in_development_pages_from_elsewhere_are_refused(development_server: Server, site: str) -> None:
    preflight = call(development_server.port, "OPTIONS", "/graphql", headers={"Origin": site})
    answer = ask(development_server.port, COUNT, headers={"Origin": site})

    refusal = "In development this server answers only to pages of this machine, and to HOME_VISITS_ALLOWED_ORIGINS.\n"
    assert [(one.status, one.body.decode()) for one in (preflight, answer)] == [(403, refusal)] * 2
    assert [one.headers["Access-Control-Allow-Origin"] for one in (preflight, answer)] == [None, None]


def test_a_page_of_this_machine_may_not_ask_under_a_name_that_was_pointed_here(development_server: Server) -> None:
    headers = {"Origin": "http://localhost:5173", "Host": "evil.example"}

    answer = ask(development_server.port, COUNT, headers=headers)

    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (403, None)


def test_in_development_listed_sites_may_send_requests_as_well(start_server: StartServer) -> None:
    server = start_server("--dev", ALLOWED_ORIGINS=VISITS_SITE)

    answers = [ask(server.port, COUNT, headers={"Origin": site}) for site in (VISITS_SITE, "http://localhost:5173")]

    assert [(one.status, one.headers["Access-Control-Allow-Origin"]) for one in answers] == [
        (200, VISITS_SITE),
        (200, "http://localhost:5173"),
    ]


def test_outside_development_pages_of_this_machine_are_those_of_any_site(start_server: StartServer) -> None:
    server = start_server(JWT_SECRET=SECRET)

    answer = ask(server.port, COUNT, bearer=token(Role.VIEWER), headers={"Origin": "http://localhost:5173"})

    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, None)


@pytest.fixture
def page_port(tmp_path: Path) -> Iterator[int]:
    """Serve an empty page, as a tool that builds frontends would, on a port of its own."""
    (tmp_path / "index.html").write_text("<!doctype html><title>Visits</title>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
@pytest.mark.slow
async def test_a_browser_lets_a_page_of_this_machine_ask_and_no_other(running_server: Server, page_port: int) -> None:
    playwright = pytest.importorskip("playwright.async_api", reason="the browser's driver is not here")

    async with asyncio.timeout(60), playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        answers = []
        for name in ("localhost", "127.0.0.1", "elsewhere.example"):
            await page.goto(f"http://{name}:{page_port}/")
            answers.append(await page.evaluate(FETCH, [running_server.url, "{ viewer { subject } }"]))
        rebound = f"http://elsewhere.example:{running_server.port}/graphql"
        answers.append(await page.evaluate(FETCH, [rebound, "{ viewer { subject } }"]))
        await browser.close()

    answer = {"data": {"viewer": {"subject": "developer"}}}
    assert answers == [answer, answer, "TypeError", "TypeError"]

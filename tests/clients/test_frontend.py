"""The application that frontends copy, in a real Chromium: by keyboard alone, beside others who change visits, for axe."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from storage.demo import CARE_ENQUIRY, LOCATION
from tests import databases
from tests.clients.bench import put_on_bench
from tests.clients.test_clients import ask
from tests.conftest import Server, serving

playwright = pytest.importorskip("playwright.async_api", reason="the browser's driver is not here: pip install -e '.[browser]'")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")]

PLACEHOLDER = "http://gateway.invalid/graphql"
BOOK = """mutation ($input: BookHomeVisitInput!) {
  bookHomeVisit(input: $input) { ... on BookHomeVisitSuccess { homeVisit { id } } }
}"""
MOVE = "mutation ($id: ID!, $dateTime: DateTime!) { updateHomeVisit(input: { id: $id, dateTime: $dateTime }) { __typename } }"
OF_DAY = """query ($day: Date!) {
  homeVisits(filter: { startDate: $day, endDate: $day }, orderBy: [{ field: DATE_TIME }]) {
    nodes { dateTime status version notes }
  }
}"""
CHANGED = "Somebody else has changed this home visit. Look at it as it is now, then try again with its version."


@dataclass(frozen=True)
class Built:
    """The application as Vite builds it, and what looks for faults in it."""

    folder: Path
    axe: str


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Built:
    async def build() -> Built:
        cache = pytestconfig.cache.mkdir("clients")
        bench = await put_on_bench("frontend", tmp_path_factory.mktemp("frontend") / "checkout", cache)
        await bench.succeed("npm run generate")
        await bench.succeed("npm run check")
        built = await bench.run("npm run build", VITE_HOME_VISITS_URL=PLACEHOLDER)
        assert built.code == 0, built
        return Built(bench.folder / "dist", (bench.packages / "node_modules/axe-core/axe.min.js").read_text())

    return asyncio.run(build())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests here: each has a day to itself."""
    folder = tmp_path_factory.mktemp("gateway")
    with serving(folder) as start:
        yield start("--dev", "--demo")
    databases.drop_below(folder)


async def book(gateway: Server, day: str) -> str:
    """Book a visit at 11:30 in the location's summer time, and return its ID."""
    visit = {"careEnquiry": CARE_ENQUIRY, "dateTime": f"{day}T10:30:00Z", "host": "MANAGER", "visitType": "VIRTUAL"}
    booked: str = (await ask(gateway.url, BOOK, input=visit))["bookHomeVisit"]["homeVisit"]["id"]
    return booked


async def visits_of(gateway: Server, day: str) -> Any:
    return (await ask(gateway.url, OF_DAY, day=day))["homeVisits"]["nodes"]


class Files(SimpleHTTPRequestHandler):
    """Serves a folder in silence."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def origin(built: Built, gateway: Server, tmp_path: Path) -> Iterator[str]:
    """Serve the application on a port of its own, with the gateway's address in it."""
    folder = shutil.copytree(built.folder, tmp_path / "dist")
    [script] = folder.glob("assets/*.js")
    script.write_text(script.read_text().replace(PLACEHOLDER, gateway.url))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


class Screen:
    """The page, and whoever sits before it with a keyboard."""

    def __init__(self, page: Any, axe: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.inputs: list[dict[str, Any]] = []
        self._axe = axe
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("request", self._keep_input)

    def _keep_input(self, request: Any) -> None:
        if request.method == "POST" and "input" in (variables := json.loads(request.post_data).get("variables") or {}):
            self.inputs.append(variables["input"])

    async def tab_to(self, role: str, name: str) -> None:
        """Press Tab until the focus is where it is wanted, as often as there is anything to come by."""
        target = self.page.get_by_role(role, name=name)
        await target.first.wait_for()
        for _ in range(60):
            if await target.evaluate_all("elements => elements.includes(document.activeElement)"):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab never comes to the {role} {name!r}")

    async def press(self, role: str, name: str, key: str = "Enter") -> None:
        await self.tab_to(role, name)
        await self.page.keyboard.press(key)

    async def type(self, label: str, text: str) -> None:
        """Type into what bears a label, of whatever kind it is."""
        field = self.page.get_by_label(label, exact=True)
        await field.wait_for()
        for _ in range(60):
            if await field.evaluate("field => field === document.activeElement"):
                break
            await self.page.keyboard.press("Tab")
        await self.page.keyboard.type(text)

    async def says(self, text: str) -> None:
        """Wait for what is read out."""
        await self.page.locator("[role=status], [role=alert]").filter(has_text=text).wait_for()

    async def focused(self) -> str:
        return await self.page.evaluate("document.activeElement.innerText")

    async def faults(self) -> list[str]:
        """Return what axe finds, and whether the page is wider than the window."""
        await self.page.evaluate(self._axe)
        found = (await self.page.evaluate("axe.run()"))["violations"]
        wide = await self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found] + ["too wide"] * wide


@pytest.fixture
async def screen(origin: str, built: Built) -> AsyncIterator[Screen]:
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        # Far from the locations, whose time is shown.
        page = await browser.new_page(base_url=origin, timezone_id="Pacific/Auckland")
        page.set_default_timeout(20_000)
        yield Screen(page, built.axe)
        await browser.close()


async def test_a_visit_is_booked_moved_counted_and_cancelled_by_keyboard_alone(screen: Screen, gateway: Server) -> None:
    day = "2031-07-07"
    await book(gateway, day)
    await screen.page.goto("/")

    await screen.press("link", "Book a visit")
    await screen.page.get_by_role("heading", name="Book a visit").wait_for()
    heading = await screen.focused()
    await screen.type("Search care enquiries", "agnes you")
    await screen.says("1 found")
    await screen.press("radio", "Agnes Young", "Space")
    await screen.type("Date", "07072101")
    await screen.type("Time (Europe/London)", "1100A")
    await screen.press("button", "Book")
    await screen.says("Nothing was")
    refused = await screen.page.locator("[aria-invalid=true]").evaluate(
        "field => [field.name, document.getElementById(field.getAttribute('aria-describedby')).innerText]"
    )
    focused = await screen.page.evaluate("document.activeElement.name")
    await screen.page.keyboard.type("07072031")
    await screen.says("Less than an hour away")
    beside = await screen.page.locator(".conflicts li").all_inner_texts()
    await screen.press("button", "Book")
    await screen.says("The visit is booked.")
    [booked, _] = await visits_of(gateway, day)

    assert heading == "Book a visit"
    assert (refused, focused) == (["date", "A visit takes place in a year from 2000 to 2100. Check the year."], "date")
    assert beside == ["Mon, 7 Jul 2031, 11:30 BST: Agnes Young, manager, Ada Okafor"]
    assert booked == {"dateTime": f"{day}T10:00:00Z", "status": "PENDING", "version": 1, "notes": ""}

    await screen.type("Time (Europe/London)", "0200P")
    await screen.press("button", "Save")
    await screen.says("The changes are saved.")
    moved = await screen.focused()
    await screen.press("button", "Cancel this visit…")
    await screen.press("button", "Cancel the visit")
    await screen.says("The visit is cancelled.")
    cancelled = await screen.focused()

    assert (moved, cancelled) == ("The changes are saved.", "The visit is cancelled.")
    assert {name: value for name, value in screen.inputs[-2].items() if name != "id"} == {
        "expectedVersion": 1,
        "dateTime": f"{day}T13:00:00Z",
    }
    assert screen.inputs[-1]["notifyCareSeeker"] is True
    assert screen.complaints == []


async def test_what_is_listed_and_counted_stands_in_the_address(screen: Screen, gateway: Server) -> None:
    day = "2031-07-08"
    visit = await book(gateway, day)
    await screen.page.goto(f"/?view=calendar&month=2031-06&location={LOCATION}")
    await screen.press("link", "July 2031")
    await screen.press("link", "8 1 Pending")
    await screen.says("1 visit")
    of_the_day = screen.page.url.partition("?")[2]

    await screen.type("Attendee", "dilys")
    await screen.press("button", "Show")
    await screen.says("No visits")
    filtered = screen.page.url.partition("?")[2]
    await screen.page.go_back()
    await screen.says("1 visit")
    await screen.page.reload()
    await screen.press("link", "Agnes Young")
    await screen.press("button", "It took place")
    await screen.says("The visit is recorded as completed.")
    status = (await visits_of(gateway, day))[0]["status"]

    assert of_the_day == f"location={LOCATION}&from={day}&to={day}"
    assert filtered == f"attendee=dilys&location={LOCATION}&from={day}&to={day}"
    assert (screen.page.url.partition("?")[2], status) == (f"visit={visit}", "COMPLETED")
    assert screen.complaints == []


async def test_what_others_change_is_seen_at_once_and_never_overwritten(screen: Screen, gateway: Server) -> None:
    day = "2031-07-09"
    await screen.page.goto(f"/?location={LOCATION}&from={day}&to={day}")
    await screen.says("No visits")
    visit = await book(gateway, day)
    await screen.says("1 visit")

    await screen.press("link", "Agnes Young")
    await screen.type("Notes", "By train.")
    await ask(gateway.url, MOVE, id=visit, dateTime=f"{day}T12:00:00Z")
    await screen.says("Somebody else has changed this visit meanwhile.")
    await screen.press("button", "Save")
    await screen.says(CHANGED)
    [refused] = await visits_of(gateway, day)
    await screen.press("button", "Begin again with that")
    await screen.says("The form has the visit as it is now.")
    time = await screen.page.get_by_label("Time (Europe/London)").input_value()
    await screen.type("Notes", "By train.")
    await screen.press("button", "Save")
    await screen.says("The changes are saved.")
    [saved] = await visits_of(gateway, day)

    assert refused == {"dateTime": f"{day}T12:00:00Z", "status": "PENDING", "version": 2, "notes": ""}
    assert time == "13:00"
    assert saved == {"dateTime": f"{day}T12:00:00Z", "status": "PENDING", "version": 3, "notes": "By train."}
    assert screen.complaints == []


async def test_axe_finds_no_fault_and_nothing_is_cut_off_at_the_side(screen: Screen, gateway: Server) -> None:
    day = "2031-07-10"
    await book(gateway, day)
    page = screen.page
    faults: dict[str, list[str]] = {}

    async def look(view: str) -> None:
        for width in (360, 1400):
            await page.set_viewport_size({"width": width, "height": 800})
            faults[f"{view}, {width} wide"] = await screen.faults()

    await page.goto(f"/?from={day}")
    await page.get_by_role("article").wait_for()
    await look("list")
    await page.goto(f"/?view=calendar&month=2031-07&location={LOCATION}")
    await page.get_by_role("link", name="10 1 Pending").wait_for()
    await look("calendar")
    await page.goto("/?view=book")
    await screen.type("Search care enquiries", "agnes you")
    await page.get_by_role("radio").check()
    await screen.type("Date", "07072101")
    await screen.type("Time (Europe/London)", "1100A")
    await screen.press("button", "Book")
    await screen.says("Nothing was")
    await look("booking form with a refusal")
    await page.goto(f"/?from={day}")
    await page.get_by_role("article").get_by_role("link").click()
    await page.get_by_role("button", name="Save").wait_for()
    await look("visit")
    await page.get_by_role("button", name="Cancel this visit…").click()
    await look("dialog")

    assert {view for view, found in faults.items() if found} == set(), faults
    assert len(faults) == 10

"""The application that frontends copy, in a real Chromium: by keyboard alone, beside others who change visits, for axe."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from storage.demo import CARE_ENQUIRY, LOCATION
from tests import databases
from tests.clients.screen import PLACEHOLDER, UNWELL, Built, Screen, build, refuse, serving_files
from tests.clients.test_clients import ask
from tests.conftest import Server, serving

playwright = pytest.importorskip("playwright.async_api", reason="the browser's driver is not here: pip install -e '.[browser]'")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.asyncio(loop_scope="module"),  # that of the browser, which is started once
]

BOOK = """mutation ($input: BookHomeVisitInput!) {
  bookHomeVisit(input: $input) { ... on BookHomeVisitSuccess { homeVisit { id } } }
}"""
MOVE = "mutation ($id: ID!, $dateTime: DateTime!) { updateHomeVisit(input: { id: $id, dateTime: $dateTime }) { __typename } }"
OF_DAY = """query ($day: Date!) {
  homeVisits(filter: { startDate: $day, endDate: $day }, orderBy: [{ field: DATE_TIME }]) {
    nodes { dateTime status version notes }
  }
}"""
CANCEL = "mutation ($id: ID!) { cancelHomeVisit(input: { id: $id }) { __typename } }"
# A colleague at the location, who is not the care enquiry's.
GRACE = "672517ecde305d547963780c"
CHANGED = "Somebody else has changed this home visit. Look at it as it is now, then try again with its version."


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Built:
    return asyncio.run(build(tmp_path_factory.mktemp("frontend") / "checkout", pytestconfig.cache.mkdir("clients")))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests here: each has a day to itself."""
    folder = tmp_path_factory.mktemp("gateway")
    with serving(folder) as start:
        yield start("--dev", "--demo")
    databases.drop_below(folder)


async def book(gateway: Server, day: str, **values: str) -> str:
    """Book a visit at 11:30 in the location's summer time, and return its ID."""
    visit = {"careEnquiry": CARE_ENQUIRY, "dateTime": f"{day}T10:30:00Z", "host": "MANAGER", "visitType": "VIRTUAL"}
    booked: str = (await ask(gateway.url, BOOK, input=visit | values))["bookHomeVisit"]["homeVisit"]["id"]
    return booked


async def visits_of(gateway: Server, day: str) -> Any:
    return (await ask(gateway.url, OF_DAY, day=day))["homeVisits"]["nodes"]


@pytest.fixture
def origin(built: Built, gateway: Server, tmp_path: Path) -> Iterator[str]:
    """Serve the application on a port of its own, with the gateway's address in it."""
    folder = shutil.copytree(built.folder, tmp_path / "dist")
    [script] = folder.glob("assets/*.js")
    script.write_text(script.read_text().replace(PLACEHOLDER, gateway.url))
    with serving_files(folder) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def screen(origin: str, built: Built, browser: Any) -> AsyncIterator[Screen]:
    # Far from the locations, whose time is shown.
    page = await browser.new_page(base_url=origin, timezone_id="Pacific/Auckland")
    page.set_default_timeout(20_000)
    # As on plain HTTP from another machine.
    await page.add_init_script("delete Crypto.prototype.randomUUID")
    yield Screen(page, built.axe)
    await page.close()


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
    await screen.page.keyboard.type("03302031")
    await screen.type("Time (Europe/London)", "0130A")
    await screen.press("button", "Book")
    await screen.says("Nothing was saved.")
    alert = await screen.page.query_selector("form > [role=alert]")
    await screen.press("button", "Book")
    again = [await screen.page.evaluate("document.activeElement.name"), await alert.evaluate("alert => alert.isConnected")]
    await screen.page.keyboard.type("07072031")
    await screen.type("Time (Europe/London)", "1100A")
    await screen.says("Less than an hour away")
    beside = await screen.page.locator(".conflicts li").all_inner_texts()
    await screen.press("button", "Book")
    await screen.says("The visit is booked.")
    [booked, _] = await visits_of(gateway, day)

    assert heading == "Book a visit"
    assert (refused, focused) == (["date", "A visit takes place in a year from 2000 to 2100. Check the year."], "date")
    assert again == ["date", False], "the second refusal is neither at its field nor read out"
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
    await screen.press("button", "Complete this visit…")
    question = await screen.page.get_by_role("dialog").inner_text()
    await screen.press("button", "It took place")
    await screen.says("The visit is recorded as completed.")
    status = (await visits_of(gateway, day))[0]["status"]

    assert "It is yet to come: Tue, 8 Jul 2031, 11:30 BST." in question
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


async def test_nothing_typed_is_lost_where_a_visit_ends_or_the_gateway_fails(screen: Screen, gateway: Server) -> None:
    day = "2031-07-04"
    visit = await book(gateway, day)
    await screen.page.goto(f"/?visit={visit}")
    await screen.type("Notes", "By train.")
    notes = screen.page.get_by_label("Notes", exact=True)

    async with screen.answering("query Visit(", refuse):
        await ask(gateway.url, MOVE, id=visit, dateTime=f"{day}T12:00:00Z")
        await screen.says(UNWELL)
    typed = [await notes.input_value()]
    await ask(gateway.url, CANCEL, id=visit)
    await screen.says("This visit can be changed no more.")
    focused = await screen.focused()
    typed.append(await notes.input_value())
    await screen.press("button", "Discard it")
    await screen.says("What was in the form is discarded.")

    assert typed == ["By train."] * 2
    assert focused == "Somebody else has ended this visit."
    assert [await notes.count(), screen.inputs, screen.complaints] == [0, [], []]


async def test_what_is_typed_for_one_enquiry_is_booked_for_another_and_only_once(screen: Screen, gateway: Server) -> None:
    day = "2031-07-05"
    await book(gateway, day)
    await screen.page.goto("/?view=book")
    await screen.type("Search care enquiries", "liam costa")
    await screen.press("radio", "Liam Costa", "Space")
    await screen.type("Date", "07052031")
    await screen.type("Time (Europe/London)", "1100A")
    await screen.page.get_by_label("Search care enquiries").fill("agnes you")
    await screen.page.get_by_role("radio", name="Agnes Young").check()
    await screen.says("Less than an hour away")
    kept = [await screen.page.get_by_label(label).input_value() for label in ("Date", "Time (Europe/London)")]

    async def lose(route: Any) -> None:
        await route.fetch()
        await refuse(route)

    async with screen.answering("mutation BookVisit(", lose):
        await screen.press("button", "Book")
        await screen.says(UNWELL)
    await screen.type("Notes", "By train.")
    await screen.press("button", "Book")
    await screen.says("What you sent before is booked, though no answer came.")
    once = await visits_of(gateway, day)
    await screen.press("button", "Book")
    await screen.says("The visit is booked.")

    assert kept == [day, "11:00"]
    assert [visit["notes"] for visit in once] == ["", ""]
    assert [visit["notes"] for visit in await visits_of(gateway, day)] == ["", "By train.", ""]
    assert screen.complaints == []


async def test_a_newer_gateway_s_host_stays_and_a_colleague_by_default_is_warned_of(screen: Screen, gateway: Server) -> None:
    day = "2031-07-06"
    await book(gateway, day, dateTime=f"{day}T11:00:00Z", host="NURSE")
    visit = await book(gateway, day, assignedTo=GRACE)

    async def rename(route: Any) -> None:
        answer = await route.fetch(post_data=route.request.post_data.replace("GARDENER", "MANAGER"))
        await route.fulfill(response=answer, body=(await answer.text()).replace("MANAGER", "GARDENER"))

    async with screen.answering("VisitCard", rename):
        await screen.page.goto(f"/?visit={visit}")
        await screen.type("Assigned to", "As the")
        await screen.says("Less than an hour away")
        await screen.press("button", "Save")
        await screen.says("The changes are saved.")

    assert screen.inputs == [{"id": visit, "expectedVersion": 1, "assignedTo": None}]
    assert screen.complaints == []


async def test_every_location_is_offered_and_a_failure_to_load_them_is_said(screen: Screen) -> None:
    async def page(route: Any) -> None:
        await route.continue_(post_data=route.request.post_data.replace("first: 100", "first: 1"))

    async with screen.answering("query Locations(", page):
        await screen.page.goto("/")
        await screen.says("visits")
        options = await screen.page.get_by_label("Location").get_by_role("option").all_inner_texts()
    async with screen.answering("query Locations(", refuse):
        await screen.page.goto("/?view=calendar")
        await screen.says(UNWELL)

    assert [option.split(" ")[0] for option in options] == ["All", "Corbière", "Glen", "Harbour", "Liffey", "Rock", "Willow"]
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

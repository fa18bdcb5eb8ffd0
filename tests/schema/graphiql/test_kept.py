"""What outlives the browser's tab, what ends with it, and what an address brings."""

import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.schema.graphiql.explorer import TABS, Explorer

HEADERS = '{"Authorization": "Bearer typed"}'
TWO = 'query Count { homeVisits { totalCount } }\n\nquery Me($id: ID! = "1") { homeVisit(id: $id) { id } viewer { subject } }'


async def test_tabs_theme_and_history_outlive_the_browsers_tab_and_a_token_does_not(explorer: Explorer) -> None:
    await explorer.open()
    await explorer.page.get_by_role("button", name="Open settings dialog").click()
    await explorer.page.get_by_role("button", name="Dark").click()
    await explorer.page.keyboard.press("Escape")
    await explorer.page.get_by_role("button", name="Headers", exact=True).click()
    await explorer.write("Headers", HEADERS)
    await explorer.choose("NextPage")
    in_another_tab = await explorer.read("Headers")
    await explorer.write("Query Editor", "query Mine { homeVisits { totalCount } }")
    await explorer.recognised("Mine")
    await explorer.run()
    await explorer.page.get_by_role("button", name="Show History").click()
    await explorer.page.get_by_role("region", name="History").get_by_role("button", name="Mine", exact=True).click()
    after_history = await explorer.read("Headers")
    await explorer.page.wait_for_function("() => localStorage['graphiql:tabState']?.includes('query Mine')")
    await explorer.page.reload()
    await explorer.tab("Mine").wait_for()
    await explorer.page.get_by_role("button", name="Headers", exact=True).click()
    after_reload = await explorer.read("Headers")

    await explorer.reopen()

    await explorer.page.get_by_role("button", name="Headers", exact=True).click()
    await explorer.page.get_by_role("button", name="Show History").click()
    assert [in_another_tab, after_history, after_reload, await explorer.read("Headers")] == [HEADERS, HEADERS, HEADERS, ""]
    assert await explorer.titles() == ["Mine" if name == "NextPage" else name for name in TABS]
    assert await explorer.read("Query Editor") == "query Mine { homeVisits { totalCount } }"
    assert await explorer.page.evaluate("() => document.body.className") == "graphiql-dark"
    await explorer.page.get_by_role("region", name="History").get_by_role("button", name="Mine", exact=True).wait_for()
    assert "typed" not in await explorer.page.evaluate("() => JSON.stringify(localStorage)")
    assert explorer.complaints == []


@pytest.mark.slow
async def test_an_address_opens_an_operation_and_a_copied_link_too_where_the_explorer_is_open(explorer: Explorer) -> None:
    await explorer.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    linked = {"query": TWO, "variables": '{"id": "2"}', "operationName": "Me"}
    plain, explorer.url = explorer.url, f"{explorer.url}?{urlencode(linked)}"

    await explorer.open()
    await explorer.recognised("Me")
    await explorer.page.get_by_role("textbox", name="Variables").press("Control+Enter")
    answer = json.loads(await explorer.answered("viewer"))
    await explorer.page.get_by_role("button", name="Copy a link to this operation").click()
    await explorer.page.get_by_role("status").get_by_text("The link is copied.").wait_for()
    copied = await explorer.page.evaluate("() => navigator.clipboard.readText()")
    address = explorer.page.url
    await explorer.page.wait_for_function("() => localStorage['graphiql:tabState']?.includes('query Count')")
    await explorer.choose("NextPage")
    async with explorer.page.expect_event("load"):
        await explorer.page.goto(copied)
    await explorer.recognised("Me")

    assert set(answer["data"]) == {"homeVisit", "viewer"}
    assert {name: value for name, [value] in parse_qs(urlsplit(copied).fragment).items()} == linked
    assert copied.startswith(f"{plain}#")
    assert address == explorer.page.url == plain
    assert len(await explorer.titles()) == len(TABS) + 1
    assert await explorer.read("Query Editor") == TWO
    assert json.loads(await explorer.read("Variables")) == {"id": "2"}


@pytest.mark.slow
async def test_clearing_forgets_the_token_and_leaves_what_others_keep(explorer: Explorer) -> None:
    await explorer.open()
    await explorer.page.evaluate("() => (localStorage.theirs = 'kept')")
    await explorer.page.get_by_role("button", name="Headers", exact=True).click()
    await explorer.write("Headers", HEADERS)
    await explorer.page.wait_for_function("() => JSON.stringify(sessionStorage).includes('typed')")

    await explorer.page.get_by_role("button", name="Open settings dialog").click()
    await explorer.page.get_by_role("button", name="Clear data").click()
    await explorer.page.get_by_role("button", name="Cleared data").wait_for()
    kept = await explorer.page.evaluate("() => [{ ...localStorage }, { ...sessionStorage }]")
    await explorer.page.reload()
    await explorer.tab("ComingVisits").wait_for()
    await explorer.page.get_by_role("button", name="Headers", exact=True).click()

    assert kept == [{"theirs": "kept"}, {}]
    assert await explorer.read("Headers") == ""
    assert explorer.complaints == []


@pytest.mark.slow
async def test_the_explorer_opens_where_the_browser_keeps_nothing(explorer: Explorer) -> None:
    refusing = "{ get() { throw new DOMException('Access is denied for this document.', 'SecurityError'); } }"
    for name in ("localStorage", "sessionStorage"):
        await explorer.page.add_init_script(f"Object.defineProperty(window, '{name}', {refusing});")

    await explorer.open()
    await explorer.page.get_by_role("button", name="Headers", exact=True).click()
    await explorer.write("Headers", HEADERS)
    await explorer.choose("NextPage")
    headers = await explorer.read("Headers")
    answer = await explorer.run()

    assert headers == HEADERS
    assert "errors" not in answer
    assert await explorer.titles() == list(TABS)
    assert explorer.complaints == []


@pytest.mark.slow
async def test_used_up_examples_begin_again_beside_ones_own_tabs(explorer: Explorer) -> None:
    await explorer.open()
    await explorer.choose("CancelVisit")
    first = json.loads(await explorer.read("Variables"))
    await explorer.run()
    await explorer.page.get_by_role("button", name="Add tab").click()
    await explorer.recognised("Visits")
    new = await explorer.run()
    await explorer.page.wait_for_function("() => localStorage['graphiql:tabState']?.includes('query Visits')")

    async with explorer.page.expect_event("load"):
        await explorer.page.get_by_role("button", name="Begin the examples again").click()
    await explorer.choose("CancelVisit")
    again = await explorer.run()

    assert len(new["data"]["homeVisits"]["nodes"]) == 5
    assert await explorer.titles() == [*TABS, "Visits"]
    assert json.loads(await explorer.read("Variables")) != first
    assert again["data"]["cancelHomeVisit"]["__typename"] == "CancelHomeVisitSuccess"

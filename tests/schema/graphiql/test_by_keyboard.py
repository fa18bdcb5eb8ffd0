"""The explorer without a mouse, and as a screen reader has it."""

import json
from pathlib import Path

import pytest

from tests.clients.packages import install
from tests.schema.graphiql.explorer import Explorer

AXE = Path(__file__).with_name("axe")
# Violations that keep somebody out. What axe finds is told with where it is.
VIOLATIONS = """async () => (await axe.run({ resultTypes: ["violations"] })).violations
    .filter(({ impact }) => ["critical", "serious"].includes(impact))
    .flatMap(({ id, nodes }) => nodes.map(({ target, any }) => `${id} ${target} ${any[0]?.message ?? ""}`))"""
DESCRIPTION = "() => document.getElementById(document.activeElement.getAttribute('aria-describedby')).innerText"
FOCUS = "() => document.activeElement.ariaLabel ?? document.activeElement.innerText"


@pytest.fixture
def axe(pytestconfig: pytest.Config) -> Path:
    """Return axe's script, which npm brings once."""
    return install(AXE, pytestconfig.cache.mkdir("clients")) / "node_modules/axe-core/axe.min.js"


async def test_axe_finds_nothing_serious_in_either_theme_wide_or_narrow(explorer: Explorer, axe: Path) -> None:
    await explorer.page.add_init_script(path=axe)
    await explorer.open()
    await explorer.run()
    await explorer.page.get_by_role("button", name="Show GraphiQL Explorer").click()
    await explorer.page.get_by_role("combobox", name="status").wait_for()

    violations = {}
    for theme in ("light", "dark"):
        for width in (1440, 390):
            await explorer.page.emulate_media(color_scheme=theme)
            await explorer.page.set_viewport_size({"width": width, "height": 900})
            violations[theme, width] = await explorer.page.evaluate(VIOLATIONS)

    assert violations == {(theme, width): [] for theme in ("light", "dark") for width in (1440, 390)}


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_serious_in_what_opens(explorer: Explorer, axe: Path, theme: str) -> None:
    await explorer.page.add_init_script(path=axe)
    await explorer.page.emulate_media(color_scheme=theme)
    await explorer.open()
    await explorer.run()

    violations = {}
    for name in (
        "Show Documentation Explorer",
        "Show History",
        "Open short keys dialog",
        "Open settings dialog",
        "Add tab",
    ):
        await explorer.page.get_by_role("button", name=name).click()
        await explorer.page.wait_for_timeout(500)  # until nothing fades in any more
        violations[name] = await explorer.page.evaluate(VIOLATIONS)
        if name.endswith("dialog"):
            await explorer.page.keyboard.press("Escape")

    await explorer.page.get_by_role("textbox", name="Query editor").focus()
    await explorer.page.keyboard.press("Control+A")
    await explorer.page.keyboard.type("{ home")
    await explorer.page.get_by_role("listbox", name="Proposals").wait_for()
    violations["proposals"] = await explorer.page.evaluate(VIOLATIONS)

    assert violations == {name: [] for name in violations}
    assert len(violations) == 6


async def test_somebody_without_a_mouse_gets_in_writes_runs_and_gets_out(explorer: Explorer) -> None:
    press = explorer.page.keyboard.press
    await explorer.open()
    for _ in range(60):
        await press("Tab")
        if await explorer.page.evaluate(FOCUS) == "Query editor":
            break
    described = await explorer.page.evaluate(DESCRIPTION)

    await press("Control+A")
    await explorer.page.keyboard.insert_text("query Mine {")
    await press("Enter")
    await press("Tab")
    await explorer.page.keyboard.insert_text("homeVisits { totalCount } }")
    await explorer.recognised("Mine")
    written = await explorer.read("Query Editor")
    await press("Control+Enter")
    answer = await explorer.answered("totalCount")
    await press("Escape")
    await press("Tab")
    forwards = await explorer.page.evaluate(FOCUS)
    await press("Shift+Tab")
    back_in = await explorer.page.evaluate(FOCUS)
    await press("Control+m")
    await press("Shift+Tab")
    backwards = await explorer.page.evaluate(FOCUS)

    assert described.startswith("In an editor, Tab indents. Esc, then Tab, leaves it")
    assert written == "query Mine {\n  \thomeVisits { totalCount } }"
    assert json.loads(answer)["data"]["homeVisits"]["totalCount"] > 3
    assert (forwards, back_in) == ("Execute query (Ctrl-Enter)", "Query editor")
    assert backwards not in ("Query editor", "")
    assert (
        await explorer.page.locator("#keys").inner_text()
        == "Tab leaves an editor; Ctrl-M lets it indent. Ctrl-K searches the docs."
    )
    assert explorer.complaints == []


@pytest.mark.slow
async def test_nobody_is_kept_in_any_editor(explorer: Explorer) -> None:
    await explorer.open()
    await explorer.run()
    press = explorer.page.keyboard.press

    left = {}
    for name in ("Query editor", "Variables", "Answer", "Headers"):
        if name == "Headers":
            await explorer.page.get_by_role("button", name=name, exact=True).click()
        await explorer.page.get_by_role("textbox", name=name, exact=True).focus()
        if name != "Answer":
            await press("Escape")
        await press("Tab")
        left[name] = await explorer.page.evaluate(FOCUS)

    assert {name for name, focus in left.items() if focus == name} == set()


@pytest.mark.slow
async def test_ctrl_k_opens_the_docs_search_from_within_an_editor(explorer: Explorer) -> None:
    await explorer.open()
    await explorer.page.get_by_role("textbox", name="Query editor").focus()

    await explorer.page.keyboard.press("Control+k")
    await explorer.page.wait_for_function("() => document.activeElement.ariaLabel === 'Search the docs'")
    await explorer.page.keyboard.insert_text("homeVisitConflicts")
    await explorer.page.wait_for_function("() => document.querySelectorAll('[role=option]').length === 1")
    await explorer.page.keyboard.press("Enter")

    title = explorer.page.locator(".graphiql-doc-explorer-title").get_by_text("homeVisitConflicts", exact=True)
    assert (await title.bounding_box())["x"] > 0
    assert await explorer.page.locator(".CodeMirror-hints").count() == 0


@pytest.mark.slow
async def test_the_builder_is_used_by_keyboard_and_puts_in_what_is_valid(explorer: Explorer) -> None:
    await explorer.open()
    await explorer.page.get_by_role("button", name="Add tab").click()
    await explorer.page.get_by_role("button", name="Show GraphiQL Explorer").click()
    builder = explorer.page.locator(".graphiql-explorer-root")
    for name in ("filter", "startDate", "keyword", "location", "timeZone", "dateTimeFrom"):
        argument = builder.locator(f"[data-arg-name='{name}'] > span").get_by_role("checkbox").first
        await argument.press("Enter")
        await argument.and_(builder.get_by_role("checkbox", checked=True)).wait_for()
    await explorer.page.keyboard.press("Escape")

    answer = await explorer.run()

    assert "errors" not in answer
    filter = 'filter: {startDate: null, keyword: null, location: null, timeZone: "UTC", dateTimeFrom: null}'
    assert filter in await explorer.read("Query Editor")

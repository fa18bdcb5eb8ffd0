"""A browser for each test that looks at the explorer, on a running server."""

import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.graphiql import assets_present
from tests.schema.graphiql.explorer import Explorer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Nothing is resolved but this machine, so that a request that tries to leave fails, besides being recorded.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture
async def explorer(running_server: Any) -> AsyncIterator[Explorer]:
    playwright = pytest.importorskip(
        "playwright.async_api", reason="the browser's driver is not here: pip install -e '.[browser]'"
    )
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    if not assets_present():
        pytest.skip("the explorer's files are not here: python -m schema.graphiql")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(60_000)
        page = await context.new_page()
        yield Explorer(page, running_server.url)
        await browser.close()

"""The application that frontends copy, as somebody with a keyboard, or without sight, has it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.clients.bench import put_on_bench

PLACEHOLDER = "http://gateway.invalid/graphql"
UNWELL = "The gateway is not well."


@dataclass(frozen=True)
class Built:
    """The application as Vite builds it, and what looks for faults in it."""

    folder: Path
    axe: str


async def build(checkout: Path, cache: Path) -> Built:
    """Generate, check and build it, with a placeholder for the gateway's address."""
    bench = await put_on_bench("frontend", checkout, cache)
    await bench.succeed("npm run generate")
    await bench.succeed("npm run check")
    await bench.succeed("npm run build", VITE_HOME_VISITS_URL=PLACEHOLDER)
    return Built(bench.folder / "dist", (bench.packages / "node_modules/axe-core/axe.min.js").read_text())


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

    async def tab_to(self, target: Any) -> None:
        """Press Tab until the focus is at an element, as often as there is anything to come by."""
        await target.first.wait_for()
        for _ in range(60):
            if await target.evaluate_all("elements => elements.includes(document.activeElement)"):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab never comes to {target}")

    async def press(self, role: str, name: str, key: str = "Enter") -> None:
        await self.tab_to(self.page.get_by_role(role, name=name))
        await self.page.keyboard.press(key)

    async def type(self, label: str, text: str) -> None:
        """Type into what bears a label, of whatever kind it is."""
        await self.tab_to(self.page.get_by_label(label, exact=True))
        await self.page.keyboard.type(text)

    @asynccontextmanager
    async def answering(self, operation: str, answer: Callable[[Any], Awaitable[None]]) -> AsyncIterator[None]:
        """Answer an operation in the gateway's place."""

        async def handle(route: Any) -> None:
            await (answer(route) if operation in (route.request.post_data or "") else route.continue_())

        await self.page.route("**/graphql", handle)
        yield
        await self.page.unroute_all(behavior="wait")

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


async def refuse(route: Any) -> None:
    """Answer in the gateway's place as it does where it fails."""
    await route.fulfill(json={"errors": [{"message": UNWELL}]}, headers={"Access-Control-Allow-Origin": "*"})


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """Serve a folder on a port of its own, and give its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


class _Files(SimpleHTTPRequestHandler):
    """Serves a folder in silence."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass

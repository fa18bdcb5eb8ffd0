"""The explorer in a browser, handled as its users do."""

import json
import re
from typing import Any

TABS = (
    "ComingVisits",
    "NextPage",
    "FindPeople",
    "CountVisits",
    "BookVisit",
    "MoveVisit",
    "CancelVisit",
    "CompleteVisit",
    "FollowChanges",
)


class Explorer:
    """The page as its user sees and handles it, and the requests it sends."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in {"error", "warning"} else None)

    async def open(self) -> None:
        await self.page.goto(self.url)
        await self.tab("ComingVisits").wait_for()

    async def reopen(self) -> None:
        """Close the browser's tab, and open the page in a new one."""
        old, self.page = self.page, await self.page.context.new_page()
        await old.close()
        await self.open()

    def tab(self, name: str) -> Any:
        return self.tabs.get_by_role("button", name=name, exact=True)

    @property
    def tabs(self) -> Any:
        return self.page.get_by_role("group", name="Select active operation")

    async def titles(self) -> list[str]:
        return await self.tabs.locator(".graphiql-tab-button").all_inner_texts()

    async def choose(self, tab: str) -> None:
        await self.tab(tab).click()
        await self.recognised(tab)

    async def recognised(self, operation: str) -> None:
        """Wait a tenth of a second, after which GraphiQL looks which operation there is to run."""
        await self.page.wait_for_function(
            "name => document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.operationName === name",
            arg=operation,
        )

    async def run(self) -> dict[str, Any]:
        """Press the button, and read the answer off the answer pane."""
        await self.page.get_by_role("button", name="Execute query").click()
        text = await self.page.wait_for_function(
            "() => document.querySelector('.result-window .CodeMirror').CodeMirror.getValue() || null"
        )
        return json.loads(await text.json_value())

    async def answered(self, text: str) -> str:
        """Wait for a text in the answer pane, and return all of the answer."""
        pane = (
            "text => [document.querySelector('.result-window .CodeMirror').CodeMirror.getValue()].find(it => it.includes(text))"
        )
        answer: str = await (await self.page.wait_for_function(pane, arg=text)).json_value()
        return answer

    async def write(self, editor: str, text: str) -> None:
        await self.page.locator(f"section[aria-label='{editor}'] .graphiql-editor:not(.hidden) .CodeMirror").click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(text)

    async def read(self, editor: str) -> str:
        place = self.page.locator(f"section[aria-label='{editor}'] .graphiql-editor:not(.hidden) .CodeMirror")
        return await place.evaluate("place => place.CodeMirror.getValue()")

    def left_the_machine(self) -> list[str]:
        here = re.compile(rf"(http|ws)://{re.escape(self.url.removeprefix('http://').removesuffix('/graphql'))}/|data:|blob:")
        return [url for url in self.requests if not here.match(url)]

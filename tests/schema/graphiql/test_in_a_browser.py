"""The explorer as its users have it: a real Chromium on a running server."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema

from schema import graphiql
from schema.graphiql.vendor import ASSETS, SCRIPTS, STYLES
from storage.caller import Role
from tests.app.calling import SECRET, token
from tests.app.subscribing import BOOK, ask
from tests.conftest import Server, StartServer
from tests.schema.graphiql.explorer import TABS, Explorer

SDL = Path(__file__).parents[3] / "schema/schema.graphql"

SIGN_IN = "Sign in first: send the header `Authorization: Bearer`, then a space and your token."


async def test_a_newcomer_reads_books_and_looks_up_with_no_request_leaving_the_machine(explorer: Explorer) -> None:
    description = build_schema(SDL.read_text(encoding="utf-8")).mutation_type.fields["bookHomeVisit"].description

    await explorer.open()
    coming = await explorer.run()
    await explorer.choose("BookVisit")
    booked = await explorer.run()
    await explorer.page.get_by_role("button", name="Show Documentation Explorer").click()
    await explorer.page.get_by_role("link", name="Mutation", exact=True).click()

    seeker = coming["data"]["homeVisits"]["nodes"][0]["careEnquiry"]["careSeeker"]
    assert set(seeker) == {"firstName", "lastName", "phone"}
    assert booked["data"]["bookHomeVisit"]["__typename"] == "BookHomeVisitSuccess"
    await explorer.page.locator(".result-window").get_by_text('"BookHomeVisitSuccess"').wait_for()
    await explorer.page.get_by_text(description.partition("\n")[0]).wait_for()
    assert await explorer.page.title() == "Home visits · GraphQL explorer"
    assert explorer.left_the_machine() == []
    assert explorer.complaints == []


async def test_every_example_runs_at_the_first_click(explorer: Explorer) -> None:
    await explorer.open()

    answers = {}
    for tab in TABS:
        await explorer.choose(tab)
        answers[tab] = await explorer.run()

    assert {tab for tab, answer in answers.items() if "errors" in answer} == set()
    assert len(answers["NextPage"]["data"]["homeVisits"]["edges"]) == 3
    assert answers["MoveVisit"]["data"]["updateHomeVisit"]["__typename"] == "UpdateHomeVisitSuccess"
    assert answers["CancelVisit"]["data"]["cancelHomeVisit"]["__typename"] == "CancelHomeVisitSuccess"
    assert answers["CompleteVisit"]["data"]["completeHomeVisit"]["__typename"] == "CompleteHomeVisitSuccess"
    # What was done before by the other examples comes first.
    assert answers["FollowChanges"]["data"]["homeVisitChanged"]["node"]["actor"]
    assert explorer.left_the_machine() == []
    assert explorer.complaints == []


async def test_no_example_is_underlined_as_wrong(explorer: Explorer) -> None:
    await explorer.open()
    await explorer.page.get_by_role("button", name="Show Documentation Explorer").click()
    await explorer.page.get_by_role("link", name="Mutation", exact=True).wait_for()
    look_again = (
        "() => document.querySelectorAll('.graphiql-editors .CodeMirror').forEach(place => place.CodeMirror.performLint())"
    )

    underlined = {}
    for tab in TABS:
        await explorer.choose(tab)
        await explorer.page.evaluate(look_again)
        underlined[tab] = await explorer.page.locator("[class*=CodeMirror-lint-mark]").all_inner_texts()

    assert underlined == {tab: [] for tab in TABS}


@pytest.mark.slow
async def test_a_booking_run_twice_is_one_booking(explorer: Explorer) -> None:
    await explorer.open()
    await explorer.choose("BookVisit")

    first = (await explorer.run())["data"]["bookHomeVisit"]
    second = (await explorer.run())["data"]["bookHomeVisit"]

    assert second["__typename"] == "BookHomeVisitSuccess"
    assert second["homeVisit"]["id"] == first["homeVisit"]["id"]


@pytest.mark.slow
async def test_a_query_of_ones_own_is_answered(explorer: Explorer) -> None:
    await explorer.open()

    await explorer.write("Query Editor", "query Mine { homeVisits { totalCount } }")
    await explorer.recognised("Mine")
    answer = await explorer.run()

    assert answer == {"data": {"homeVisits": {"totalCount": answer["data"]["homeVisits"]["totalCount"]}}}
    assert answer["data"]["homeVisits"]["totalCount"] > 3


async def test_a_subscription_follows_changes_until_it_is_stopped(explorer: Explorer, running_server: Server) -> None:
    await explorer.open()
    await explorer.choose("FollowChanges")
    replayed = await explorer.run()

    booked = (await ask(running_server.url, BOOK))["bookHomeVisit"]["homeVisit"]["id"]
    live = json.loads(await explorer.answered(booked))
    await explorer.page.get_by_role("button", name="Stop query").click()
    await explorer.page.get_by_role("button", name="Execute query").wait_for()

    assert replayed["data"]["homeVisitChanged"]["node"]["type"] == "IMPORTED"
    assert live["data"]["homeVisitChanged"]["node"]["type"] == "BOOKED"
    assert [url for url in explorer.requests if url.startswith("ws")] == [running_server.url.replace("http", "ws")]
    assert explorer.left_the_machine() == []
    assert explorer.complaints == []


@pytest.mark.slow
async def test_a_subscription_signs_in_with_the_headers_of_its_queries(explorer: Explorer, start_server: StartServer) -> None:
    server = start_server("--demo", JWT_SECRET=SECRET, EXPLORER="on")
    bearer = token(Role.COORDINATOR)
    explorer.url = server.url
    await explorer.open()
    await explorer.choose("FollowChanges")
    await explorer.page.get_by_role("button", name="Execute query").click()
    refused = await explorer.answered("closed")

    await explorer.page.get_by_role("button", name="Headers", exact=True).click()
    await explorer.write("Headers", json.dumps({"Authorization": f"Bearer {bearer}"}))
    await explorer.page.get_by_role("button", name="Execute query").click()
    await explorer.page.get_by_role("button", name="Stop query").wait_for()
    # A subscription is not acknowledged.
    await asyncio.sleep(1)
    booked = (await ask(server.url, BOOK, bearer))["bookHomeVisit"]["homeVisit"]["id"]

    assert json.loads(refused) == {"errors": [{"message": SIGN_IN, "extensions": {"closed": 4403}}]}
    assert json.loads(await explorer.answered(booked))["data"]["homeVisitChanged"]["node"]["actor"] == "amy"


@pytest.mark.slow
async def test_a_schema_refused_is_explained_and_follows_once_there_is_a_token(explorer: Explorer) -> None:
    refusal = {"errors": [{"message": "Send a token.", "extensions": {"code": "UNAUTHENTICATED"}}]}

    async def refuse_without_token(route: Any) -> None:
        if route.request.method == "POST" and "authorization" not in route.request.headers:
            await route.fulfill(status=401, json=refusal)
        else:
            await route.continue_(
                headers={name: value for name, value in route.request.headers.items() if name != "authorization"}
            )

    await explorer.page.route("**/graphql", refuse_without_token)
    await explorer.open()
    notice = explorer.page.locator("#notice")
    await notice.get_by_text("The server does not show its schema: Send a token.").wait_for()
    await explorer.page.get_by_role("button", name="Headers", exact=True).click()
    await explorer.write("Headers", '{"Authorization": "Bearer typed"}')

    await notice.wait_for(state="hidden")
    await explorer.page.get_by_role("button", name="Show Documentation Explorer").click()
    await explorer.page.get_by_role("link", name="Mutation", exact=True).wait_for()


@pytest.mark.slow
async def test_outside_a_demo_no_visit_is_chosen_for_the_reader(explorer: Explorer) -> None:
    async def serve_without_demo(route: Any) -> None:
        page = graphiql.page(offline=True, demo=False)
        await route.fulfill(body=page.body, headers=page.headers, content_type="text/html; charset=utf-8")

    await explorer.page.route("**/graphql", serve_without_demo, times=1)
    await explorer.open()
    coming = await explorer.run()
    await explorer.choose("CancelVisit")

    assert "errors" not in coming
    chosen = {"id": "<ID of another pending visit>", "notifyCareSeeker": False}
    assert json.loads(await explorer.read("Variables")) == {"input": chosen}


@pytest.mark.parametrize("width", [390, *(pytest.param(width, marks=pytest.mark.slow) for width in (768, 1000, 1440))])
async def test_nothing_is_cut_off_at_the_side(explorer: Explorer, width: int) -> None:
    await explorer.page.set_viewport_size({"width": width, "height": 844})

    await explorer.open()
    await explorer.run()
    await explorer.page.get_by_role("button", name="Show Documentation Explorer").click()

    overflow = (
        "() => ['.graphiql-container', 'html'].map(at => document.querySelector(at)).map(it => it.scrollWidth - it.clientWidth)"
    )
    assert await explorer.page.evaluate(overflow) == [0, 0]
    docs = await explorer.page.locator(".graphiql-doc-explorer").bounding_box()
    assert docs["x"] >= 0
    assert docs["x"] + docs["width"] <= width
    assert docs["width"] >= 260


@pytest.mark.slow
async def test_a_cdns_copies_are_let_in_only_if_they_are_genuine(explorer: Explorer) -> None:
    async def serve_from_cdn(route: Any) -> None:
        page = graphiql.page(offline=False, demo=True)
        await route.fulfill(body=page.body, headers=page.headers, content_type="text/html; charset=utf-8")

    copies = {file.cdn_url: ASSETS / file.name for file in STYLES + SCRIPTS}

    async def answer_as_cdn(route: Any) -> None:
        await route.fulfill(path=copies[route.request.url], headers={"Access-Control-Allow-Origin": "*"})

    async def answer_with_another_react(route: Any) -> None:
        forged = copies[route.request.url].read_text(encoding="utf-8") + "//"
        await route.fulfill(body=forged, headers={"Access-Control-Allow-Origin": "*"}, content_type="text/javascript")

    await explorer.page.route("**/graphql", serve_from_cdn, times=1)
    await explorer.page.route("https://cdn.jsdelivr.net/**", answer_as_cdn)
    await explorer.open()
    answer = await explorer.run()
    complaints = list(explorer.complaints)
    await explorer.page.evaluate("() => localStorage.clear()")
    await explorer.page.route("**/graphql", serve_from_cdn, times=1)
    await explorer.page.route("**/react.production.min.js", answer_with_another_react)
    await explorer.page.reload()

    assert "errors" not in answer
    assert complaints == []
    await explorer.page.get_by_text("GraphiQL could not be loaded.").wait_for()
    await explorer.page.get_by_text("python -m schema.graphiql").first.wait_for()


@pytest.mark.slow
async def test_the_settings_open_and_turn_the_page_dark(explorer: Explorer) -> None:
    await explorer.open()

    await explorer.page.get_by_role("button", name="Open settings dialog").click()
    await explorer.page.get_by_role("button", name="Dark").click()

    assert await explorer.page.evaluate("() => document.body.className") == "graphiql-dark"
    assert explorer.complaints == []

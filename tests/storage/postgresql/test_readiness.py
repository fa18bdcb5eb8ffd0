"""Ready means ready: a server says within five seconds that PostgreSQL is away, logs why, and goes on when it is back."""

import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.app.calling import COUNT, ask, get
from tests.conftest import Server, StartServer
from tests.storage.postgresql.clusters import Cluster, cluster

BOOK = """mutation { bookHomeVisit(input: {
  careEnquiry: "67251cbede305d547963780e", dateTime: "2030-11-03T11:00:00Z", host: MANAGER, visitType: IN_PERSON
  idempotencyKey: "k"
}) { ... on BookHomeVisitSuccess { homeVisit { id } } } }"""
NOTICED, RECOVERED = 5.0, 5.0


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    with cluster("--locale=C.UTF-8") as running:
        yield running


@pytest.fixture
def server(own_cluster: Cluster, start_server: StartServer) -> Server:
    return start_server("--dev", "--demo", DATABASE_URL=own_cluster.url, LOG_FORMAT="json")


def seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 30
        time.sleep(0.05)
    return time.monotonic() - began


def is_ready(server: Server) -> bool:
    return get(server.port, "/readyz").status == 200


def logged(server: Server) -> list[str]:
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return [line["event"] for line in lines if line["event"].startswith("The database")]


def test_a_database_that_is_stopped_is_noticed_and_so_is_that_it_is_back(server: Server, own_cluster: Cluster) -> None:
    before = is_ready(server)

    own_cluster.stop()
    noticed = seconds_until(lambda: not is_ready(server))
    refused = get(server.port, "/readyz")
    asked = ask(server.port, COUNT)
    reasons = logged(server)
    own_cluster.start()
    recovered = seconds_until(lambda: is_ready(server))

    assert before
    assert noticed < NOTICED
    assert recovered < RECOVERED
    assert refused.body.decode().startswith("The database cannot be used: ")
    assert asked.json["errors"][0]["extensions"]["code"] == "STORAGE_UNAVAILABLE"
    assert any(reason.endswith("Check that it runs, and what its URL says.") for reason in reasons)
    assert ask(server.port, COUNT).json["data"]["homeVisits"]["totalCount"] > 0
    assert logged(server)[-1] == "The database can be read again"


def test_a_database_that_hangs_is_noticed_and_so_is_that_it_goes_on(server: Server, own_cluster: Cluster) -> None:
    before = is_ready(server)

    with own_cluster.suspended():
        noticed = seconds_until(lambda: not is_ready(server))
        reasons = logged(server)
    recovered = seconds_until(lambda: is_ready(server))

    assert before
    assert noticed < NOTICED
    assert recovered < RECOVERED
    assert reasons == ["The database cannot be read. It did not answer in time."]
    assert logged(server)[-1] == "The database can be read again"


def test_what_no_standby_has_is_in_doubt(server: Server, own_cluster: Cluster) -> None:
    own_cluster.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
    time.sleep(0.5)  # until all of its processes have read it
    doubtful = ask(server.port, BOOK).json
    own_cluster.run("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
    time.sleep(0.5)
    settled = ask(server.port, BOOK).json

    assert [error["extensions"]["code"] for error in doubtful["errors"]] == ["IN_DOUBT"]
    assert settled["data"]["bookHomeVisit"]["homeVisit"]["id"]

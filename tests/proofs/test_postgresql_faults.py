"""Promise 16, and 1, 4, 5, 6, 22 and 29 with it: each fault of PostgreSQL is bounded, and over without a restart."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import pytest
from aiosmtpd.smtp import SMTP

from tests.conftest import StartServer
from tests.proofs import faults, sites
from tests.proofs.sites import Site
from tests.proofs.test_full_disks import MOUNTING
from tests.proofs.trials import WRITE, Fault, Figures, Trial, started
from tests.storage.outbox.post_office import PostOffice, cut

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

CUTS = 1
NOTHING: frozenset[str] = frozenset()
WRITES = frozenset({WRITE})
KILLED, HUNG, RESTARTED = (
    Fault(faults.killed, times=3, often=20),
    Fault(faults.hung, often=3),
    Fault(faults.restarted, is_felt=False),
)
REFUSING = {
    "a backend killed": Fault(faults.backend_killed),
    "out of connections": Fault(faults.out_of_connections),
    "locked": Fault(faults.locked, refused=NOTHING),
    "deadlocked": Fault(faults.deadlocked, refused=NOTHING),
    "conflicting": Fault(faults.conflicting, refused=NOTHING),
}
# PgBouncer has fewer connections than the gateways, and all of them wait for the lock.
POOLED = REFUSING | {"locked": Fault(faults.locked)}


class Case(NamedTuple):
    site: Callable[[], AbstractAsyncContextManager[Site]]
    faults: dict[str, Fault]
    workers: int = 2
    is_short: bool = True
    # Beside nothing else, so that how soon is exact.
    is_alone: bool = False
    marks: tuple[pytest.MarkDecorator, ...] = ()


CASES = {
    "killed": Case(sites.direct, {"killed": KILLED, "restarted": RESTARTED}),
    "hung": Case(sites.direct, {"hung": HUNG}, is_alone=True, marks=(pytest.mark.alone,)),
    "refusing": Case(sites.direct, REFUSING),
    "behind PgBouncer": Case(
        sites.behind_pgbouncer,
        {"killed": KILLED, "hung": HUNG, "restarted": RESTARTED},
        workers=4,
        is_alone=True,
        marks=(pytest.mark.alone,),
    ),
    "refusing behind PgBouncer": Case(sites.behind_pgbouncer, POOLED, workers=4, is_short=False),
    "cut": Case(sites.over_a_wire, {"cut": Fault(faults.cut, refused=WRITES)}),
    "failed over": Case(sites.with_a_standby, {"failed over": Fault(faults.failed_over, often=1)}),
    "vanished": Case(sites.with_a_standby, {"vanished": Fault(faults.vanished, often=1)}, is_short=False),
    "full disk": Case(sites.on_a_small_disk, {"full disk": Fault(faults.full_disk, refused=WRITES)}, marks=(MOUNTING,)),
}


@pytest.fixture
async def post_office() -> AsyncIterator[PostOffice]:
    """A letter or two are taken without a word: the connection is cut."""
    office, letters = PostOffice(), iter(range(10**6))

    async def take(server: SMTP) -> str:
        return await cut(server) if next(letters) in range(9, 9 + CUTS) else "250 OK"

    office.answers["DATA"] = take
    await office.start()
    yield office
    await office.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_long = metafunc.config.getoption("--long")
    names = [name for name, case in CASES.items() if is_long or case.is_short]
    metafunc.parametrize("name", [pytest.param(name, marks=CASES[name].marks) for name in names])


async def test_faults_are_bounded_and_over_without_a_restart(
    name: str, start_server: StartServer, post_office: PostOffice, tell: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    case, is_long = CASES[name], request.config.getoption("--long")

    async with case.site() as site:
        trial = await started(site, start_server, post_office, workers=case.workers, is_long=is_long, is_exact=case.is_alone)
        await trial.run(case.faults)
        violations = trial.violations(case.faults, CUTS)

    if name == "cut" and not trial.load.settled["IN_DOUBT"]:
        violations.append("nothing was in doubt")
    for fault, times in trial.figures().items():
        tell(f"{name}, {fault}", **_worst(times))
    tell(f"{name}, all told", **_sums(trial))
    assert violations == [], "\n".join(violations)


def _worst(times: list[Figures]) -> dict[str, object]:
    return {
        "times": len(times),
        "s_to_the_worst_error": round(max(figures.worst_error for figures in times), 2),
        "s_to_the_slowest_answer": round(max(figures.slowest for figures in times), 2),
        "s_until_well_at_worst": round(max(figures.well_after for figures in times), 2),
        "reads_refused": sum(figures.refused["read"] for figures in times),
        "writes_refused": sum(figures.refused["write"] for figures in times),
    }


def _sums(trial: Trial) -> dict[str, object]:
    assert trial.load
    return {
        "requests": len(trial.load.requests),
        "visits": len(trial.load.versions),
        "bookings_in_doubt": trial.load.settled["IN_DOUBT"],
        "events": len(trial.events),
        "subscriptions_begun_anew": trial.load.reconnected,
        "letters": len(trial.post_office.letters),
    }

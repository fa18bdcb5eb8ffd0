"""Promise 16, and 1, 4, 5, 6, 22 and 29 with it: each fault of PostgreSQL is bounded, and over without a restart."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import pytest
from aiosmtpd.smtp import SMTP

from tests.conftest import StartServer
from tests.proofs import faults, sites
from tests.proofs.sites import Site
from tests.proofs.test_full_disks import may_mount
from tests.proofs.trials import WRITE, Fault, Figures, Trial, started
from tests.storage.outbox.post_office import PostOffice, cut

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

CUTS = 1
NOTHING: frozenset[str] = frozenset()
WRITES = frozenset({WRITE})
AWAY = {
    "killed": Fault(faults.killed, times=3, often=20),
    "hung": Fault(faults.hung),
    "restarted": Fault(faults.restarted),
}
REFUSING = {
    "a backend killed": Fault(faults.backend_killed),
    "out of connections": Fault(faults.out_of_connections),
    "locked": Fault(faults.locked, refused=NOTHING),
    "deadlocked": Fault(faults.deadlocked, refused=NOTHING),
    "conflicting": Fault(faults.conflicting, refused=NOTHING),
}
ONLY_LONG = {name: fault._replace(times=0) for name, fault in REFUSING.items()}


class Case(NamedTuple):
    site: Callable[[], AbstractAsyncContextManager[Site]]
    faults: dict[str, Fault]
    workers: int = 2
    is_short: bool = True


CASES = {
    "away": Case(sites.direct, AWAY),
    "refusing": Case(sites.direct, REFUSING),
    "behind PgBouncer": Case(sites.behind_pgbouncer, AWAY | ONLY_LONG, workers=4),
    "cut": Case(sites.over_a_wire, {"cut": Fault(faults.cut, refused=WRITES)}),
    "failed over": Case(sites.with_a_standby, {"failed over": Fault(faults.failed_over, often=1)}),
    "vanished": Case(sites.with_a_standby, {"vanished": Fault(faults.vanished, often=1)}, is_short=False),
    **({"full disk": Case(sites.on_a_small_disk, {"full disk": Fault(faults.full_disk, refused=WRITES)})} if may_mount() else {}),
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
    metafunc.parametrize("name", [name for name, case in CASES.items() if is_long or case.is_short])


async def test_faults_are_bounded_and_over_without_a_restart(
    name: str, start_server: StartServer, post_office: PostOffice, tell: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    case, is_long = CASES[name], request.config.getoption("--long")

    async with case.site() as site:
        trial = await started(site, start_server, post_office, workers=case.workers, is_long=is_long)
        await trial.run(case.faults)
        violations = trial.violations(case.faults, CUTS)

    for fault, times in trial.figures().items():
        tell(f"{name}, {fault}", **_worst(times))
    tell(f"{name}, all told", **_sums(trial))
    assert violations == [], "\n".join(violations)


def _worst(times: list[Figures]) -> dict[str, object]:
    return {
        "times": len(times),
        "s_to_the_worst_error": round(max(figures.worst_error for figures in times), 2),
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

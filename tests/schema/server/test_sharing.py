"""Files of shared metrics: allocated before use, never grown, taken over, and removed after who was killed."""

import fcntl
import gc
import os
from pathlib import Path

import pytest

from schema.server import metrics as metrics_module
from schema.server import sharing
from schema.server.logs import Log
from schema.server.metrics import LONGEST_NAME, MAX_DEPRECATED, MAX_LABELLED, Metrics
from schema.server.sharing import SIZES, SharedMetrics, make_shared_folder, use_files
from schema.transport.operations import RequestRecord

# prometheus-client closes a worker's files with its process.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture(autouse=True)
def _values_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield
    use_files(None)
    # Here, and not in another test.
    gc.collect()


def metrics_of(folder: Path, worker: int, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    return Metrics(Log("json", os.open(os.devnull, os.O_WRONLY)), SharedMetrics(folder, worker))


def record(name: str, outcome: str = "ok") -> RequestRecord:
    return RequestRecord("id", None, name, "subscription", outcome, 200, 0.1, None)


def test_every_page_of_the_files_is_allocated(tmp_path: Path) -> None:
    folder = make_shared_folder(2)

    assert folder is not None
    sizes = {
        file.name: (file.stat().st_size, file.stat().st_blocks * 512 >= file.stat().st_size) for file in folder.path.glob("*.db")
    }
    assert sizes == {f"{kind}_{worker}.db": (size, True) for kind, size in SIZES.items() for worker in range(2)}
    assert oct(folder.path.stat().st_mode) == "0o40700"


async def test_whatever_clients_send_the_files_do_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_shared_folder(1)
    assert folder is not None
    metrics = metrics_of(folder.path, 0, monkeypatch)

    outcomes = [f"{'A' * 28}{number:04}" for number in range(2 * MAX_LABELLED // metrics_module.MAX_OPERATION_NAMES)]
    for number in range(metrics_module.MAX_OPERATION_NAMES):
        for outcome in outcomes:
            metrics.record(record(f"{number:0{LONGEST_NAME}}", outcome))
    parts = tuple(f"{'P' * 98}{number:02}" for number in range(20))
    for number in range(2 * MAX_DEPRECATED):
        metrics.record(record("Old")._replace(application=f"{number:04}{'😀' * 300}", deprecated=parts))
    metrics.flush()

    sizes = {file.name: file.stat().st_size for file in folder.path.glob("*.db")}
    assert sizes == {f"{kind}_0.db": size for kind, size in SIZES.items()}
    assert b'outcome="AAAA' in metrics.export()


async def test_a_worker_goes_on_counting_where_the_one_before_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_shared_folder(2)
    assert folder is not None
    first, other = metrics_of(folder.path, 0, monkeypatch), metrics_of(folder.path, 1, monkeypatch)
    for metrics in (first, first, other):
        metrics.record(record("Hello"))
        metrics.flush()
    folder.forget_gauges(0)

    next_one = metrics_of(folder.path, 0, monkeypatch)
    next_one.record(record("Hello"))
    lines = next_one.export().decode().splitlines()

    assert 'home_visits_requests_total{operation="Hello",outcome="ok",type="subscription"} 4.0' in lines


async def test_the_gauges_of_a_worker_that_has_ended_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_shared_folder(2)
    assert folder is not None
    workers = [metrics_of(folder.path, worker, monkeypatch) for worker in range(2)]
    exported = [metrics.export().decode() for metrics in workers]

    folder.forget_gauges(0)
    after = workers[1].export().decode()

    assert "\nhome_visits_processes 2.0" in exported[1]
    assert "\nhome_visits_processes 1.0" in after


async def test_where_the_files_cannot_be_read_a_worker_exports_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_shared_folder(1)
    assert folder is not None
    metrics = metrics_of(folder.path, 0, monkeypatch)
    metrics.record(record("Hello"))
    folder.remove()

    lines = metrics.export().decode().splitlines()

    assert 'home_visits_requests_total{operation="Hello",outcome="ok",type="subscription"} 1.0' in lines


def test_without_room_anywhere_nothing_is_shared_and_nothing_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    monkeypatch.setattr(sharing, "MEMORY", tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, limits[1]))
    try:
        folder = make_shared_folder(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert folder is None
    assert list(tmp_path.iterdir()) == []
    assert [record.getMessage() for record in caplog.records] == [
        "Each worker's metrics are its own: there is no room to share them (File too large)"
    ]


def test_where_one_folder_is_full_the_other_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(sharing, "MEMORY", tmp_path / "memory")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))

    folder = make_shared_folder(1)

    assert folder is not None
    assert folder.path.parent == tmp_path / "memory"


def test_what_killed_servers_left_is_removed_and_what_running_ones_use_is_not(tmp_path: Path) -> None:
    left, used, others = (tmp_path / f"home-visits-{name}" for name in ("left", "used", "others"))
    for folder in (left, used, others):
        folder.mkdir()
    (left / "lock").touch()
    with (used / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        folder = make_shared_folder(1)

    assert folder is not None
    assert set(tmp_path.iterdir()) == {folder.path, used, others}

"""A PostgreSQL cluster that follows another one, in step with it, until it is promoted."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.storage.postgresql.clusters import Cluster, cluster

IN_STEP = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
PROMOTED_SECONDS = 30


class Standby(Cluster):
    """A copy of `primary`, which streams what is committed there."""

    def __init__(self, primary: Cluster) -> None:
        self._primary = primary
        super().__init__()

    def _make(self, *_options: str) -> None:
        self._run(
            "pg_basebackup", "--dbname", f"postgresql://postgres@{self._primary.address}", "-R", "--checkpoint=fast", "--no-sync"
        )

    def promote(self) -> None:
        """Have it take writes; what its primary has acknowledged, it has."""
        self.run(f"SELECT pg_promote(true, {PROMOTED_SECONDS})")


@contextmanager
def replicated(**settings: str) -> Iterator[tuple[Cluster, Standby]]:
    """Start a cluster that acknowledges only what its standby has written too, and that standby."""
    with cluster("--locale=C.UTF-8", **settings) as primary:
        standby = Standby(primary)
        try:
            standby.start(**settings)
            # Not in its file before the copy is made: the standby, once promoted, waits for nobody.
            primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
            _wait_until_in_step(primary)
            yield primary, standby
        finally:
            standby.remove()


def _wait_until_in_step(primary: Cluster) -> None:
    deadline = time.monotonic() + 30
    with psycopg.connect(primary.url, autocommit=True) as connection:
        while connection.execute(IN_STEP).fetchone() != (1,):
            assert time.monotonic() < deadline
            time.sleep(0.05)

"""What is left of families that were wiped: nothing through SQL, and nothing in files once the README's statements were run."""

import re
from pathlib import Path

import psycopg

from storage.database import Wiped
from storage.retention.anonymizing import anonymize
from tests.conftest import ROOT
from tests.databases import database_at, url_of
from tests.storage.homes import Clock, prepare
from tests.storage.retention.families import add_families, left_in_tables, left_of, load


async def test_nothing_is_left_of_them_in_tables_statistics_or_files(tmp_path: Path) -> None:
    path, clock = tmp_path / "families.db", Clock()
    prepare(path)
    database = await database_at(path).open()
    families = await add_families(database, clock, tmp_path / "mail", 20)
    [statements] = re.findall(r"```sql\n(VACUUM.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    clock.advance(days=400)

    with psycopg.connect(url_of(path), autocommit=True) as connection:
        connection.execute("ANALYZE")
        before = repr(connection.execute("SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats").fetchall())
        async with load(database, clock):
            report = await anonymize(database, 365, clock, mail=tmp_path / "mail")
        after = repr(connection.execute("SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats").fetchall())
        await database.close()
        [name] = connection.execute("SELECT current_database()").fetchone() or ()
        for statement in statements.replace("visits", f'"{name}"').split(";\n")[:2]:
            connection.execute(statement.encode())
        connection.execute("CHECKPOINT")
        [folder] = (
            connection.execute(
                "SELECT setting || '/base/' || oid FROM pg_settings, pg_database WHERE name = 'data_directory' AND datname = %s",
                [name],
            ).fetchone()
            or ()
        )

    assert report.wiped == Wiped(20, 20, 20)
    assert report.remains.to_know == (
        "Tables and indexes hold what was wiped until VACUUM FULL and REINDEX, the log and base backups until they expire.",
    )
    words = [word for family in families for word in family.words]
    assert [word for word in words if word in before] != []
    assert [word for word in words if word in after] == []
    assert left_in_tables(families, path) == set()
    assert any(file.is_file() for file in Path(folder).glob("*"))  # noqa: ASYNC240 - nothing else runs here
    assert left_of(families, Path(folder)) == set()

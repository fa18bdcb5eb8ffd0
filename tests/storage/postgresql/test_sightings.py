"""Who is seen because of a visit alone is found out along indexes, whatever else there is."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from storage.models import CareEnquiry, User
from storage.postgresql.database import PostgreSQLDatabase
from storage.postgresql.dialect import DIALECT
from storage.queries.references import Kind, by_id
from tests.storage.homes import EVANS, HOMELESS, ROWAN, STRANGER, WILLOW, keep, prepare, visit

CAROL = "20000000000000000000000c"
ELSEWHERE = 1_000


@pytest.fixture
def url(url: str, tmp_path: Path) -> str:
    prepare(tmp_path / "visits.db")
    return url


def blocks(url: str, kind: Kind, id: str) -> int:
    """Return how many blocks are looked at to find out whether a caller of Rowan sees a record."""
    statement = by_id(DIALECT, kind, True)
    types = {"ids": "text[]", "scope": "text[]", "default_time_zone": "text"}
    values = {"ids": f"'{{{id}}}'", "scope": f"'{{{ROWAN}}}'", "default_time_zone": "'UTC'"}
    with psycopg.connect(url, autocommit=True) as connection:
        parameters = ", ".join(types[name] for name in statement.names)
        connection.execute(f"PREPARE looked_up ({parameters}) AS {statement.text}".encode())
        execute = f"EXECUTE looked_up({', '.join(values[name] for name in statement.names)})".encode()
        assert connection.execute(execute).fetchall() == []
        [[[explained]]] = connection.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + execute).fetchall()
    plan: dict[str, Any] = explained["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.parametrize(
    ("kind", "id"), [("user", CAROL), ("care_enquiry", HOMELESS), ("service_user_contact", STRANGER), ("location", WILLOW)]
)
async def test_to_find_out_that_somebody_is_out_of_sight_takes_as_long_whatever_they_have_elsewhere(
    database: PostgreSQLDatabase, url: str, kind: Kind, id: str
) -> None:
    await keep(database, User(id=CAROL))
    await keep(database, *(CareEnquiry(id=f"3f{number:022x}", location=WILLOW, assigned_to=CAROL) for number in range(500)))
    common: dict[str, Any] = {"assigned_to": CAROL, "service_user_contact": STRANGER, "location": WILLOW}
    await keep(database, *(visit(number, care_enquiry=HOMELESS, **common) for number in range(ELSEWHERE // 2)))
    await keep(database, *(visit(10_000 + number, care_enquiry=EVANS, **common) for number in range(ELSEWHERE // 2)))
    await database.optimize()

    assert blocks(url, kind, id) < 12

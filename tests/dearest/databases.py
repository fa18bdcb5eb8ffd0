"""Databases that make reads dear: one location whose visits have the longest notes, and many usual visits."""

from pathlib import Path

import sqlalchemy as sa

from storage.folding import folded
from storage.sqlite import indexes
from tests.databases import engine_at, is_sqlite, migrate

HOMES = 300
USERS = 20
# Visits of the first home: in both databases it has many.
BUSY = 3_500
LETTERS = 10_000

HOSTILE_NOTES = (
    "\ufdfa" * LETTERS,
    "\u2057" * LETTERS,
    ("e" + "\u0301\u0323" * 15) * (LETTERS // 31),
    "\x01" * LETTERS,
    "zebra crossing quilt; " * (LETTERS // 22),
    "\U0001f600" * LETTERS,
)
USUAL_NOTES = (
    "",
    "Daughter attends; wheelchair access needed.",
    "Prefers mornings. Asked about respite fees and the garden.",
    "Would like to see the dementia unit and meet the night staff.",
    "Coming by train, needs a taxi from the station.",
    "Asked whether her cat may move in, too.",
    "Café at the entrance, then the tour; mornings are quieter.",
)

INSERT = """
INSERT INTO home_visits (id, care_enquiry, location, assigned_to, service_user_contact, date_time, visit_type, host, notes,
                         notes_folded, created, modified, cancelled, completed, version, confirmation)
"""
VISITS = f"""{INSERT}
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :visits),
homes AS (SELECT n, CASE WHEN n < :busy THEN 0 ELSE n % :homes END AS home FROM numbers)
SELECT printf('5%023x', n), printf('3%023x', home), printf('1%023x', home), printf('2%023x', n % :users),
       CASE WHEN n % 2 THEN printf('4%023x', home) END,
       strftime('%Y-%m-%dT%H:%M:%S', 1600000000 + n * 911 % 190000000, 'unixepoch'),
       CASE n % 3 WHEN 0 THEN 'VIRTUAL' ELSE 'IN_PERSON' END, CASE n % 4 WHEN 0 THEN 'NURSE' ELSE 'MANAGER' END,
       notes, notes_folded, strftime('%Y-%m-%dT%H:%M:%S', 1600000000 + n * 600, 'unixepoch'),
       strftime('%Y-%m-%dT%H:%M:%S', 1600000000 + n * 601, 'unixepoch'),
       CASE n % 4 WHEN 1 THEN '2024-01-01T00:00:00' END, CASE n % 4 WHEN 2 THEN '2024-01-01T00:00:00' END, 1, 'NOT_REQUIRED'
FROM homes JOIN texts ON texts.number = n % :texts
"""  # noqa: S608 - our own names
POSTGRESQL_VISITS = f"""{INSERT}
WITH homes AS (SELECT n, CASE WHEN n < %(busy)s THEN 0 ELSE n %% %(homes)s END AS home FROM generate_series(0, %(visits)s - 1) n)
SELECT '5' || lpad(to_hex(n), 23, '0'), '3' || lpad(to_hex(home), 23, '0'), '1' || lpad(to_hex(home), 23, '0'),
       '2' || lpad(to_hex(n %% %(users)s), 23, '0'), CASE WHEN n %% 2 = 1 THEN '4' || lpad(to_hex(home), 23, '0') END,
       to_timestamp(1600000000 + n::bigint * 911 %% 190000000),
       CASE n %% 3 WHEN 0 THEN 'VIRTUAL' ELSE 'IN_PERSON' END, CASE n %% 4 WHEN 0 THEN 'NURSE' ELSE 'MANAGER' END,
       notes, notes_folded, to_timestamp(1600000000 + n * 600), to_timestamp(1600000000 + n * 601),
       CASE n %% 4 WHEN 1 THEN timestamptz '2024-01-01T00:00:00Z' END,
       CASE n %% 4 WHEN 2 THEN timestamptz '2024-01-01T00:00:00Z' END, 1, 'NOT_REQUIRED'
FROM homes JOIN texts ON texts.number = n %% %(texts)s
"""  # noqa: S608 - our own names
PEOPLE = (
    "INSERT INTO locations (id, name, email, phone) VALUES (:home, 'The Willows', 'willows@homes.example', '0100')",
    "INSERT INTO care_enquiries (id, first_name, assigned_to, location) VALUES (:enquiry, 'Wilma', :user, :home)",
    "INSERT INTO service_user_contacts (id, first_name, care_enquiry) VALUES (:contact, 'Dora', :enquiry)",
)


def home(number: int) -> str:
    return f"1{number:023x}"


def visit(number: int) -> str:
    return f"5{number:023x}"


def make_hostile(path: Path, visits: int) -> None:
    """Make a database of visits to one location, each with the longest notes there can be."""
    _make(path, visits, visits, HOSTILE_NOTES)


def make_usual(path: Path, visits: int) -> None:
    """Make a database of visits to 300 locations, of which the first has more than a hundredth."""
    _make(path, visits, min(BUSY, visits // 3), USUAL_NOTES)


def _make(path: Path, visits: int, busy: int, notes: tuple[str, ...]) -> None:
    migrate(path)
    people = "first_name, last_name, email"
    users = f"INSERT INTO users (id, {people}) VALUES (:user, 'Anna', 'Ash', 'anna@homes.example')"  # noqa: S608 - our own names
    numbers = [
        {"home": home(n), "enquiry": f"3{n:023x}", "contact": f"4{n:023x}", "user": f"2{n % USERS:023x}"} for n in range(HOMES)
    ]
    texts = [{"number": n, "notes": text, "folded": folded(text)} for n, text in enumerate(notes)]
    values = {"visits": visits, "busy": busy, "homes": HOMES, "users": USERS, "texts": len(notes)}
    engine = engine_at(path)
    with engine.begin() as connection:
        if is_sqlite():
            for index in indexes.INDEXES:
                connection.exec_driver_sql(f"DROP INDEX {index.name}")
        connection.execute(sa.text(users), numbers[:USERS])
        for statement in PEOPLE:
            connection.execute(sa.text(statement), numbers)
        connection.exec_driver_sql("CREATE TEMPORARY TABLE texts (number INTEGER PRIMARY KEY, notes TEXT, notes_folded TEXT)")
        connection.execute(sa.text("INSERT INTO texts VALUES (:number, :notes, :folded)"), texts)
        connection.exec_driver_sql(VISITS if is_sqlite() else POSTGRESQL_VISITS, values)
    engine.dispose()
    if is_sqlite():
        indexes.build_missing(path)
    else:
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")

"""Databases that make reads dear: one location whose visits have the longest notes, and many usual visits."""

from pathlib import Path

from storage.folding import folded
from storage.sqlite import indexes
from tests.databases import migrate
from tests.inspection import connected

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

VISITS = """
INSERT INTO home_visits (id, care_enquiry, location, assigned_to, service_user_contact, date_time, visit_type, host, notes,
                         notes_folded, created, modified, cancelled, completed, version, confirmation)
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
"""


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
    with connected(path) as connection:
        connection.execute("BEGIN")
        for index in indexes.INDEXES:
            connection.execute(f"DROP INDEX {index.name}")
        people = "first_name, last_name, email"
        connection.executemany(
            f"INSERT INTO users (id, {people}) VALUES (?, 'Anna', 'Ash', 'anna@homes.example')",  # noqa: S608 - our own names
            [(f"2{number:023x}",) for number in range(USERS)],
        )
        numbers = [
            {"home": home(n), "enquiry": f"3{n:023x}", "contact": f"4{n:023x}", "user": f"2{n % USERS:023x}"}
            for n in range(HOMES)
        ]
        for statement in (
            "INSERT INTO locations (id, name, email, phone) VALUES (:home, 'The Willows', 'willows@homes.example', '0100')",
            "INSERT INTO care_enquiries (id, first_name, assigned_to, location) VALUES (:enquiry, 'Wilma', :user, :home)",
            "INSERT INTO service_user_contacts (id, first_name, care_enquiry) VALUES (:contact, 'Dora', :enquiry)",
        ):
            connection.executemany(statement, numbers)
        connection.execute("CREATE TEMP TABLE texts (number INTEGER PRIMARY KEY, notes TEXT, notes_folded TEXT)")
        connection.executemany("INSERT INTO texts VALUES (?, ?, ?)", [(n, text, folded(text)) for n, text in enumerate(notes)])
        values = {"visits": visits, "busy": busy, "homes": HOMES, "users": USERS, "texts": len(notes)}
        connection.execute(VISITS, values)
        connection.execute("COMMIT")
    indexes.build_missing(path)

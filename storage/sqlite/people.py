"""What SQLite keeps by triggers of folded names: which are out of date, and the index of trigrams that finds texts in them.

SQLite numbers the rows of such an index, and would number those of its own tables anew when the file is vacuumed: which number
is whose is kept in a table beside each.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from storage.models import CareEnquiry, Location, ServiceUserContact, User, table_of

# What each table's folded columns are made of.
SOURCES: dict[str, tuple[str, ...]] = {
    "users": ("first_name", "last_name", "email"),
    "locations": ("name", "email", "phone"),
    "care_enquiries": ("first_name", "last_name", "email", "phone", "anonymized"),
    "service_user_contacts": ("first_name", "last_name", "email", "phone"),
}
FOLDED: dict[str, tuple[str, ...]] = {
    "users": ("name_folded", "search_folded"),
    "locations": ("name_folded", "search_folded"),
    "care_enquiries": ("name_folded", "search_folded"),
    "service_user_contacts": ("search_folded",),
}
# There are few users and locations: all of them are looked at sooner.
INDEXED = ("care_enquiries", "service_user_contacts")
INDEXES = tuple(f"{table}_search" for table in INDEXED)

# An older version changes a name and knows nothing of its folded form: it is forgotten, until it is folded anew.
_OUTDATED = """
    CREATE TRIGGER {table}_outdated AFTER UPDATE OF {names} ON {table}
    WHEN ({changed}) AND {unchanged}
    BEGIN UPDATE {table} SET {forgotten} WHERE id = new.id; END
"""
_INDEX = (
    "CREATE TABLE {table}_numbers (number INTEGER PRIMARY KEY, record TEXT NOT NULL UNIQUE)",
    """
    CREATE VIRTUAL TABLE {table}_search USING fts5(
        search_folded, content='', tokenize='trigram case_sensitive 1', detail=none, columnsize=0
    )
    """,
    # An import has put many into the index at once, before it inserts them: one by one takes four times as long.
    """
    CREATE TRIGGER {table}_search_inserted AFTER INSERT ON {table}
    WHEN new.search_folded <> '' AND NOT EXISTS (SELECT 1 FROM {table}_numbers WHERE record = new.id)
    BEGIN
        INSERT INTO {table}_numbers(record) VALUES (new.id);
        INSERT INTO {table}_search(rowid, search_folded) VALUES (last_insert_rowid(), new.search_folded);
    END
    """,
    """
    CREATE TRIGGER {table}_search_updated AFTER UPDATE OF search_folded ON {table}
    WHEN coalesce(new.search_folded, '') <> coalesce(old.search_folded, '')
        AND (old.search_folded <> '' OR NOT EXISTS (SELECT 1 FROM {table}_numbers WHERE record = new.id))
    BEGIN
        INSERT INTO {table}_search({table}_search, rowid, search_folded)
        SELECT 'delete', number, old.search_folded FROM {table}_numbers WHERE record = new.id;
        DELETE FROM {table}_numbers WHERE record = new.id AND coalesce(new.search_folded, '') = '';
        INSERT OR IGNORE INTO {table}_numbers(record) SELECT new.id WHERE new.search_folded <> '';
        INSERT INTO {table}_search(rowid, search_folded)
        SELECT number, new.search_folded FROM {table}_numbers WHERE record = new.id;
    END
    """,
    """
    CREATE TRIGGER {table}_search_deleted AFTER DELETE ON {table} WHEN old.search_folded <> ''
    BEGIN
        INSERT INTO {table}_search({table}_search, rowid, search_folded)
        SELECT 'delete', number, old.search_folded FROM {table}_numbers WHERE record = old.id;
        DELETE FROM {table}_numbers WHERE record = old.id;
    END
    """,
)


def _outdated(table: str) -> str:
    return _OUTDATED.format(
        table=table,
        names=", ".join(SOURCES[table]),
        changed=" OR ".join(f"new.{name} IS NOT old.{name}" for name in SOURCES[table]),
        unchanged=" AND ".join(f"new.{name} IS old.{name}" for name in FOLDED[table]),
        forgotten=", ".join("search_folded = NULL" if name == "search_folded" else f"{name} = '1'" for name in FOLDED[table]),
    )


for _model in (User, Location, CareEnquiry, ServiceUserContact):
    _table = table_of(_model)
    for _statement in (_outdated(_table.name), *(_INDEX if _table.name in INDEXED else ())):
        _ddl = sa.DDL(_statement.format(table=_table.name)).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        sa.event.listen(_table, "after_create", _ddl)


def candidates(table: str, search: sa.BindParameter[Any]) -> sa.Select[Any]:
    """Select the IDs of the records whose folded texts have all these trigrams: at least all that contain the text."""
    index = sa.table(f"{table}_search", sa.column("rowid", sa.Integer), sa.column(f"{table}_search", sa.String))
    numbers = sa.table(f"{table}_numbers", sa.column("number", sa.Integer), sa.column("record", sa.String))
    found = sa.select(index.c.rowid).where(index.c[index.name].op("MATCH")(search))
    return sa.select(numbers.c.record).where(numbers.c.number.in_(found))


def index_new(session: Session, table: str, rows: Iterable[tuple[str, str | None]]) -> None:
    """Put the folded texts of records that are about to be written, and are in no index yet, into that of their table."""
    texts = [(id, text) for id, text in rows if text] if table in INDEXED else []
    if not texts:
        return
    connection = session.connection()
    last = connection.exec_driver_sql(f"SELECT coalesce(max(number), 0) FROM {table}_numbers").scalar_one()  # noqa: S608 - our own names
    numbered = [(last + position, id, text) for position, (id, text) in enumerate(texts, 1)]
    numbers = f"INSERT INTO {table}_numbers(number, record) VALUES (?, ?)"  # noqa: S608 - our own names
    connection.exec_driver_sql(numbers, [(number, id) for number, id, _ in numbered])
    index = f"INSERT INTO {table}_search(rowid, search_folded) VALUES (?, ?)"  # noqa: S608 - our own names
    connection.exec_driver_sql(index, [(number, text) for number, _, text in numbered])

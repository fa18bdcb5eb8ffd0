"""The write lock: how a transaction waits for it."""

import sqlite3
import time

import sqlalchemy as sa

BUSY_SECONDS = 5.0
# SQLite looks again after 1, 2, 5 and 10 ms, then less and less often: beside an import, whose transactions follow one another,
# it would miss the moments between them for seconds.
POLL_MILLISECONDS = 20


def driver_connection(connection: sa.Connection) -> sqlite3.Connection:
    driver: sqlite3.Connection | None = connection.connection.driver_connection
    if driver is None:
        raise ValueError("a closed connection has none of the driver's")
    return driver


def begin(connection: sa.Connection) -> None:
    """Begin a transaction that nobody writes beside."""
    driver = driver_connection(connection)
    until = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < until:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
    connection.exec_driver_sql("BEGIN IMMEDIATE")

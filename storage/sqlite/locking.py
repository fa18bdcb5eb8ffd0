"""The write lock: how a transaction waits for it."""

import sqlite3
import time

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

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
    until = time.monotonic() + BUSY_SECONDS
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except DBAPIError as error:
        if not is_busy(error.orig) or not begins(driver_connection(connection), until):
            raise


def begins(driver: sqlite3.Connection, until: float) -> bool:
    """Begin such a transaction on a connection of the driver's; return whether the lock was to be had in time."""
    while time.monotonic() < until:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        else:
            return True
    return False


def is_busy(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY

"""Numbers events after their commit: whoever comes next, one at a time over all processes, and no booking waits for it."""

from sqlmodel import Session

from storage.models import HomeVisitEvent, table_of

# Beside that of `locks`, which is held for long.
LOCK = int.from_bytes(b"sequence") >> 1

_EVENTS = table_of(HomeVisitEvent).name
_LOCK = f"SELECT pg_advisory_xact_lock({LOCK})"
# What has no ID was there before events had one.
_NUMBER = f"""
    WITH next AS (SELECT number FROM {_EVENTS} WHERE sequence IS NULL ORDER BY number LIMIT $1),
    numbered AS (
        SELECT number, (SELECT coalesce(max(sequence), 0) FROM {_EVENTS}) + row_number() OVER (ORDER BY number) AS sequence
        FROM next
    )
    UPDATE {_EVENTS} AS event SET sequence = numbered.sequence, id = coalesce(
        event.id,
        lpad(to_hex(floor(extract(epoch FROM event.at))::bigint), 8, '0')
            || left(replace(gen_random_uuid()::text, '-', ''), 16)
    )
    FROM numbered WHERE event.number = numbered.number
"""  # noqa: S608 - our own names


def lock_numbers(session: Session) -> None:
    """Keep others from numbering until the transaction ends.

    A statement of its own: the next one sees what was committed before the lock was there.
    """
    session.connection().exec_driver_sql(_LOCK)


def number_events(session: Session, limit: int) -> int:
    """Number what is committed and has no number, in the order of insertion: of one visit, that of its changes."""
    lock_numbers(session)
    return session.connection().exec_driver_sql(_NUMBER, (limit,)).rowcount

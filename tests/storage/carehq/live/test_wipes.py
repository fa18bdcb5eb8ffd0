"""What the account anonymizes is anonymized here with the next poll, whatever it is kept in."""

from datetime import timedelta

from storage.instants import clock
from storage.retention.wiping import wipe_due
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.test_following import BOOKING, documents


async def anonymize_there(followed: Followed) -> None:
    now = clock() + timedelta(seconds=1)
    ids = [document["_id"] for document in await documents(followed.gateway.database)]
    await followed.gateway.database.write(lambda session: wipe_due(session, ids, now, "retention", now))


async def test_nothing_of_a_family_is_left(followed: Followed) -> None:
    follower = followed.follower()
    await follower.follow_once()
    visit = await followed.here.book(BOOKING, idempotency_key="of Wilma Fern")
    await followed.here.update(visit.id, {"notes": "Ring Wilma twice"})
    for document in await documents(followed.gateway.database):
        if document["care_enquiry"] == world.FOR_WILLOWS and not (document["completed"] or document["cancelled"]):
            await followed.there.complete(document["_id"])
    await follower.follow_once()

    await anonymize_there(followed)
    await follower.follow_once()

    here = inspect(path_of(followed.database))
    assert await documents(followed.database) == await documents(followed.gateway.database)
    [enquiry] = [row for row in here.records("care_enquiries") if row["id"] == world.FOR_WILLOWS]
    [contact] = [row for row in here.records("service_user_contacts") if row["id"] == world.DAUGHTER]
    assert enquiry["anonymized"] is not None
    names = ("first_name", "last_name", "email", "phone")
    assert [[row[name] for name in names] for row in (enquiry, contact)] == [[None] * 4] * 2
    rows = [repr(row).casefold() for rows in here.everything().values() for row in rows]
    left = [row for row in rows if "wilma" in row or "fern" in row]
    assert left == []
    assert here.records("unpurged_wipes") != []


async def test_people_whom_no_visit_names_are_anonymized_within_a_day(followed: Followed) -> None:
    follower = followed.follower()
    await follower.follow_once()
    there = inspect(path_of(followed.gateway.database))
    wiped = "first_name = NULL, last_name = NULL, email = NULL, phone = NULL, anonymized = '2026-01-01T00:00:00'"
    there.execute(f"UPDATE care_enquiries SET {wiped} WHERE id = '{world.ELSEWHERE}'")  # noqa: S608 - ours

    followed.clock.added = timedelta(hours=25)
    await follower.follow_once()

    [row] = [row for row in inspect(path_of(followed.database)).records("care_enquiries") if row["id"] == world.ELSEWHERE]
    assert (row["first_name"], row["anonymized"] is None) == (None, False)

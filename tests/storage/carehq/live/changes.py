"""One change of each kind, and how it is refused."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from storage.carehq.live.writing import LiveHomeVisits
from storage.errors import (
    Refusal,
)
from storage.lifecycle import BookingInput
from storage.models import HomeVisit, VisitHost, VisitType
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed

TIME = datetime(2031, 3, 3, 14, 30, tzinfo=UTC)
BOOKING = BookingInput(
    care_enquiry=world.FOR_WILLOWS, date_time=TIME, visit_type=VisitType.IN_PERSON, host=VisitHost.MANAGER, notes="Élan & co."
)
OTHER = world.VISIT_IDS[3]
SECRET = "the-key-is-k3y"  # noqa: S105 - of nothing

Change = Callable[[LiveHomeVisits], Awaitable[HomeVisit]]
CHANGES: dict[str, Change] = {
    "book": lambda here: here.book(BOOKING, idempotency_key="k"),
    "update": lambda here: here.update(world.PENDING, {"notes": "New", "date_time": TIME}),
    "cancel": lambda here: here.cancel(world.PENDING),
    "complete": lambda here: here.complete(world.PENDING),
}
EVERY = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def everything(followed: Followed) -> dict[str, list[Any]]:
    return inspect(path_of(followed.database)).everything()


async def refusal(change: Change, here: LiveHomeVisits) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await change(here)
    return refused.value

"""What a client left out, set to null, and gave are three things; pages and orders are what was asked for."""

from datetime import UTC, datetime

import pytest
from strawberry import ID, UNSET, Some

from schema.enums import HomeVisitOrderField, OrderDirection, VisitHost, VisitType
from schema.inputs import (
    BookHomeVisitInput,
    HomeVisitFilter,
    HomeVisitOrder,
    UpdateHomeVisitInput,
    booking_of,
    changes_of,
    filter_of,
    order_of,
    window_of,
)
from storage.errors import InvalidPage
from storage.lifecycle import BookingInput
from storage.queries.paging import Window
from tests.world import ANNA, DAUGHTER, FOR_WILLOWS, NOW, PENDING, WILLOWS


def test_a_filter_has_the_conditions_that_were_given() -> None:
    filter = HomeVisitFilter(location=[ID(WILLOWS)], cancelled=None, keyword="")

    assert filter_of(filter) == {"location": [WILLOWS], "cancelled": None, "keyword": "", "time_zone": "UTC"}


@pytest.mark.parametrize("none", [None, UNSET])
def test_no_filter_is_no_condition(none: HomeVisitFilter | None) -> None:
    assert filter_of(none) == {}


def test_an_order_is_ascending_unless_asked_otherwise() -> None:
    down = HomeVisitOrder(field=HomeVisitOrderField.MODIFIED, direction=OrderDirection.DESC)

    assert order_of([HomeVisitOrder(field=HomeVisitOrderField.DATE_TIME), down]) == [("date_time", False), ("modified", True)]


def test_a_page_that_was_not_asked_for_is_the_first_ten() -> None:
    assert window_of(UNSET, UNSET, UNSET, UNSET) == window_of(None, None, None, None) == Window(10, False, None, None)  # type: ignore[arg-type]


def test_a_page_is_counted_from_the_end_that_was_asked_for() -> None:
    assert window_of(3, "a", None, None) == Window(3, False, "a", None)
    assert window_of(None, None, 4, "b") == Window(4, True, None, "b")


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (1, 1, "Ask for either the `first` or the `last` of a list, not both at once."),
        (101, None, "`first` must be from 0 to 100: it is 101. Page through longer lists with cursors."),
        (None, -1, "`last` must be from 0 to 100: it is -1. Page through longer lists with cursors."),
    ],
)
def test_a_page_that_cannot_be_is_refused(first: int | None, last: int | None, message: str) -> None:
    with pytest.raises(InvalidPage) as refusal:
        window_of(first, None, last, None)

    assert str(refusal.value) == message


def test_a_booking_is_what_was_given_and_nothing_else() -> None:
    input = BookHomeVisitInput(
        care_enquiry=ID(FOR_WILLOWS),
        date_time=NOW,
        host=VisitHost.NURSE,
        visit_type=VisitType.VIRTUAL,
        service_user_contact=ID(DAUGHTER),
        assigned_to=None,
    )

    booking = booking_of(input)

    assert booking == BookingInput(FOR_WILLOWS, NOW, VisitHost.NURSE, VisitType.VIRTUAL, None, DAUGHTER, "")


def test_a_change_tells_what_was_left_out_from_what_is_null() -> None:
    at = datetime(2025, 1, 2, tzinfo=UTC)

    assert changes_of(UpdateHomeVisitInput(id=ID(PENDING))) == {}
    assert changes_of(UpdateHomeVisitInput(id=ID(PENDING), notes=Some(None), assigned_to=Some(None))) == {
        "notes": None,
        "assigned_to": None,
    }
    assert changes_of(UpdateHomeVisitInput(id=ID(PENDING), date_time=Some(at), host=Some(None), assigned_to=Some(ID(ANNA)))) == {
        "date_time": at,
        "host": None,
        "assigned_to": ANNA,
    }

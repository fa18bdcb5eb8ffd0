"""Cursors that clients keep stay good, whatever columns visits can be ordered by one day."""

import pytest

from schema.enums import CareEnquiryOrderField, HomeVisitOrderField, LocationOrderField, UserOrderField
from storage.queries.listing import COLUMNS
from storage.queries.paging import CURSOR_CODES, Order
from tests.storage.homes import visit_id

AT, AT_CREATED, AT_MODIFIED = "2024-11-03T11:00:00", "2024-10-20T09:30:00.500", "2024-10-20T09:30:00"
RECORD = {"id": visit_id(1), "date_time": AT, "created": AT_CREATED, "modified": AT_MODIFIED}


@pytest.mark.parametrize(
    ("keys", "cursor", "values"),
    [
        ([], "aXw1MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE=", [visit_id(1)]),
        ([("id", True)], "SXw1MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE=", [visit_id(1)]),
        ([("date_time", False)], "ZGl8MjAyNC0xMS0wM1QxMTowMDowMHw1MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE=", [AT, visit_id(1)]),
        ([("date_time", True)], "RGl8MjAyNC0xMS0wM1QxMTowMDowMHw1MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE=", [AT, visit_id(1)]),
        (
            [("created", True), ("date_time", False)],
            "Q2RpfDIwMjQtMTAtMjBUMDk6MzA6MDAuNTAwfDIwMjQtMTEtMDNUMTE6MDA6MDB8NTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAx",
            [AT_CREATED, AT, visit_id(1)],
        ),
        ([("modified", True)], "TWl8MjAyNC0xMC0yMFQwOTozMDowMHw1MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE=", [AT_MODIFIED, visit_id(1)]),
    ],
)
def test_a_cursor_of_the_first_release_is_still_good(keys: list[tuple[str, bool]], cursor: str, values: list[str]) -> None:
    order = Order(keys, COLUMNS)

    assert list(order.position(cursor, "after").values()) == values
    assert order.cursor([RECORD.get(column) for column in COLUMNS]) == cursor


def test_no_two_columns_share_a_code() -> None:
    codes = [code for letter in CURSOR_CODES.values() for code in (letter, letter.upper())]

    assert len(set(codes)) == len(codes)
    assert {len(code) for code in codes} == {1}


def test_what_the_api_orders_by_has_a_code() -> None:
    fields = (HomeVisitOrderField, CareEnquiryOrderField, LocationOrderField, UserOrderField)
    assert {field.value for fields_of_one in fields for field in fields_of_one} == set(CURSOR_CODES)


def test_a_column_without_a_code_cannot_be_ordered_by() -> None:
    with pytest.raises(KeyError, match="completed"):
        Order([("completed", False)], COLUMNS)

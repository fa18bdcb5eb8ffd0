"""How names, email addresses and telephone numbers are folded, and what a search looks for in them."""

from typing import Any

import pytest

from storage.names import SearchTexts, folded_columns, plain, search_texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Zoë", "zoe"),
        ("Zoe\N{COMBINING DIAERESIS}", "zoe"),
        ("ÅNGSTRÖM", "angstrom"),
        ("Łukasz Sørensen-Đặng", "lukasz sorensen-dang"),
        ("Strauß Æthelþryð", "strauss aethelthryd"),
        ("İnci Y\N{LATIN SMALL LETTER DOTLESS I}lmaz", "inci yilmaz"),
        ("O\N{RIGHT SINGLE QUOTATION MARK}Neill", "o'neill"),
        (" Okafor,\tNgozi |\r\n", "okafor ngozi"),
        ("Ann\N{NO-BREAK SPACE}Lee\N{SOFT HYPHEN}son", "ann leeson"),
        ("山田\N{IDEOGRAPHIC SPACE}花子", "山田 花子"),
        ("\x1b[Ada\x7f", "[ada"),
        ("\N{ACUTE ACCENT}", ""),
    ],
)
def test_a_text_is_folded_to_words_without_marks(text: str, expected: str) -> None:
    assert plain(text) == expected


def full_width(digits: str) -> str:
    return "".join(chr(0xFF10 + int(digit)) for digit in digits)


ZOE = {"first_name": "Zoë", "last_name": "Okafor", "email": "Zoe@Family.example", "phone": "+44 (0)7700 900123"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            ZOE | {"anonymized": None},
            {
                "name_folded": "0okafor\tzoe",
                "search_folded": "  zoe  okafor  zoe\n  zoe@family.example\n  " + full_width("447700900123"),
            },
        ),
        (ZOE | {"anonymized": "2024-11-03T11:00:00"}, {"name_folded": "0okafor\tzoe", "search_folded": ""}),
        (ZOE | {"care_enquiry": None, "email": None, "phone": None}, {"search_folded": "  zoe  okafor  zoe"}),
        ({"first_name": None, "last_name": "Okafor", "email": None}, {"name_folded": "0okafor\t", "search_folded": "  okafor"}),
        ({"first_name": "Zoë", "last_name": None, "email": None}, {"name_folded": "0\tzoe", "search_folded": "  zoe"}),
        ({"first_name": None, "last_name": " ", "email": "a@b.c"}, {"name_folded": "1", "search_folded": "  a@b.c"}),
        ({"first_name": None, "last_name": None, "email": None}, {"name_folded": "1", "search_folded": ""}),
        (
            {"name": "Corbière Grange", "email": None, "phone": "020 1"},
            {"name_folded": "0corbiere grange", "search_folded": "  corbiere  grange\n  " + full_width("201")},
        ),
        ({"name": "x" * 300, "email": None, "phone": None}, {"name_folded": "0" + "x" * 100, "search_folded": "  " + "x" * 300}),
    ],
)
def test_a_row_is_ordered_by_its_name_and_found_by_its_name_address_and_number(
    row: dict[str, Any], expected: dict[str, str]
) -> None:
    assert folded_columns(row) == expected


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("zoe", True),
        ("ZOË", True),
        ("oe", False),
        ("oe okafor", True),
        ("okafor, zoe", True),
        ("Zoe Okafor", True),
        ("okafor zoë", True),
        ("o", True),
        ("ok", True),
        ("fo", False),
        ("z", True),
        ("zo", True),
        ("family", True),
        ("okafor zoe@", False),
        ("07700 900123", True),
        ("(+44) (0)7700", True),
        ("( +44 7700", True),
        ("07700-900", True),
        ("+44 7700 900123", True),
        ("0044 7700 900123", True),
        ("+44 (0)7700 900123", True),
        ("\N{LEFT-TO-RIGHT EMBEDDING}+44\N{NO-BREAK SPACE}7700\N{NON-BREAKING HYPHEN}900", True),
        ("447700900123", True),
        ("900123", True),
        ("0900123", True),
        ("0123", True),
        ("+33 7700 900123", True),
        ("07700 900124", False),
        ("7700 x", False),
        ("44", False),
        ("%", False),
        ("_oe", False),
    ],
)
def test_a_search_finds_a_part_and_if_it_is_short_the_beginning_of_a_word(search: str, found: bool) -> None:
    texts = search_texts(search)
    assert texts is not None
    folded = folded_columns(ZOE | {"anonymized": None})["search_folded"]

    assert (texts.text in folded or bool(texts.phone and texts.phone in folded)) is found


@pytest.mark.parametrize(
    ("name", "searches"),
    [
        ("O'Neill", ["o'neill", "O\N{RIGHT SINGLE QUOTATION MARK}Neill", "oneill", "o'n", "'nei", "on"]),
        ("Smith-Jones", ["smith-jones", "smith jones", "smith-", "-jones", "th\N{EN DASH}jo", "jo"]),
        ("St. Mary's House", ["st. mary's", "st marys", "St. M", "st.", "house"]),
        ("J.R. Ward", ["j.r. ward", "J.R", "j.r ward", "ward."]),
    ],
)
def test_a_name_is_found_as_it_is_spoken_and_as_it_is_written(name: str, searches: list[str]) -> None:
    folded = folded_columns({"name": name, "email": None, "phone": None})["search_folded"]

    assert [search for search in searches if (search_texts(search) or SearchTexts("not", None)).text not in folded] == []


@pytest.mark.parametrize("search", ["-", "'", "--", "'.", "-'-"])
def test_signs_that_are_not_spoken_find_nobody_by_themselves(search: str) -> None:
    texts = search_texts(search)
    folded = folded_columns({"name": "O'Neill-Smith Jr.", "email": "o'neill-smith@a.example", "phone": None})["search_folded"]

    assert texts is not None
    assert texts.text not in folded


@pytest.mark.parametrize("number", ["07700 900123", "7700900123", "+44 7700 900123", "0044 7700 900123"])
@pytest.mark.parametrize("search", ["07700 900123", "7700900123", "+447700900123", "00447700900123"])
def test_a_number_is_found_however_either_is_written(number: str, search: str) -> None:
    folded = folded_columns({"name": None, "email": None, "phone": number})["search_folded"]

    assert (search_texts(search) or SearchTexts("", None)).phone in folded.split("\n")[-1]  # type: ignore[operator]  # it is a number


@pytest.mark.parametrize("search", ["", "  ", ",", "\N{ZERO WIDTH SPACE}", "\N{ACUTE ACCENT}"])
def test_a_search_for_nothing_is_none(search: str) -> None:
    assert search_texts(search) is None


def test_digits_of_a_number_are_no_part_of_an_address() -> None:
    folded = folded_columns({"name": "Ward 123", "email": "x7700@homes.example", "phone": None})["search_folded"]

    assert [(text.text in folded, str(text.phone) in folded) for text in map(search_texts, ("0123", "07700", "123")) if text] == [
        (False, False),
        (False, False),
        (True, False),
    ]

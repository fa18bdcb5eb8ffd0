"""A text is folded as a whole would be, in a time and to a length that it cannot drive up."""

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import folding
from storage.folding import folded, has_further_marks, is_foldable, without_format_characters

ACUTE, DOT_BELOW, SWASH = "\N{COMBINING ACUTE ACCENT}", "\N{COMBINING DOT BELOW}", "\ufdfa"
# Letters that change when they are folded, that compose with what stands beside them, and marks of several kinds.
SPACES = " \t\r\n\u00a0\u2003\u3000\u00a8"
UNSEEN = "\u00ad\u200b\u200d\ufeff\U000e0067"
TRICKY = (
    SPACES + UNSEEN + "iİ\N{COMBINING DOT ABOVE}\u2019\u2018\u201caßİẞﬁΐᾂÅ가\u1100\u1161\u11a8"
    "ㅏ\u0dd9\u0dca\u0dcf\u0b47\u0b3e\u0f71\u0f73\u0f77\u0344ｶﾞ㌁\u0345" + ACUTE + DOT_BELOW
)


def at_once(text: str) -> str:
    lower = unicodedata.normalize("NFKC", without_format_characters(text)).casefold().replace("i\N{COMBINING DOT ABOVE}", "i")
    straight = re.sub("[\u2018-\u201b\u02bc]", "'", re.sub("[\u201c-\u201f]", '"', lower))
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", straight))


@given(st.text(st.one_of(st.sampled_from(TRICKY), st.characters()), max_size=30))
def test_pieces_fold_to_what_the_whole_folds_to(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "PIECE", 1)
        assert folded(text) == at_once(text)


@given(st.text(st.one_of(st.sampled_from(TRICKY), st.characters()), max_size=30))
def test_what_is_folded_folds_to_itself(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("istanbul", "İstanbul"),
        ("istanbul", "I\N{COMBINING DOT ABOVE}stanbul"),
        ("mother's", "mother\u2019s"),
        ("'no'", "\u201ano\u2018"),
        ('"yes"', "\u201eYes\u201c"),
        ("a\nb", "a\r\nb"),
        ("a b", "a \t\u00a0 b"),
        ("a b", "a\u2028b"),
        ("wheelchair", "wheel\u00adchair"),
        ("ada", "\ufeffa\u200bd\u2060a\u202c"),
        ("👩🚒", "👩\u200d🚒"),
    ],
)
def test_a_text_is_found_as_people_type_it(typed: str, written: str) -> None:
    assert folded(typed) == folded(written)


def test_every_format_character_is_nothing_but_those_that_are_seen() -> None:
    formats = {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"}

    seen = {character for character in formats if without_format_characters(character)}

    assert seen == set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")


def test_marks_are_counted_without_what_is_not_seen_between_them() -> None:
    row = f"e{ACUTE * 20}\u200b{ACUTE * 11}"

    assert has_further_marks(row)
    assert folded(row) == "é" + ACUTE * 29


def test_what_composes_with_something_before_it_begins_no_piece() -> None:
    decompositions = [unicodedata.normalize("NFD", chr(code)) for code in range(0x110000)]
    last = {parts[-1] for parts in decompositions if len(parts) > 1}

    assert len(last) > 100
    assert [character for character in last if folding._begins_anew(character)] == []


def test_no_character_folds_to_more_than_is_reckoned_with() -> None:
    assert max(len(at_once(chr(code))) for code in range(0x110000)) == folding.MOST_OF_ONE


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("e" + ACUTE * 30, "é" + ACUTE * 29),
        ("e" + ACUTE * 31, "é" + ACUTE * 29),
        (f"{ACUTE * 40}a{ACUTE * 40}b", f"{ACUTE * 30}á{ACUTE * 29}b"),
        ("a" + "\u0f73" * 40, at_once("a" + "\u0f73" * 30)),
        ("x" * 30_001, "x" * 30_000),
        (SWASH * 1_667, at_once(SWASH * 1_667)[:30_000]),
        ("é" * 30_001, "é" * 30_000),
    ],
    ids=["30 marks", "31 marks", "two rows", "marks of another name", "letters", "U+FDFA", "accents"],
)
def test_marks_in_a_row_and_the_folded_length_are_bounded(text: str, kept: str) -> None:
    assert folded(text) == kept


@pytest.mark.parametrize(
    ("text", "foldable"),
    [
        ("x" * 30_000, True),
        ("x" * 30_001, False),
        (SWASH * 1_666, True),
        (SWASH * 1_667, False),
        ("\u2057" * 7_500, True),
        ("\u2057" * 7_501, False),
    ],
)  # fmt: skip
def test_what_folds_to_more_than_30_000_characters_is_told(text: str, foldable: bool) -> None:
    assert is_foldable(text) is foldable


@pytest.mark.parametrize("mark", [ACUTE, "\u0f73", "\u0f75", "\u0f81", "ﾞ", "ﾟ", "\U0001d165"])
def test_more_than_30_marks_in_a_row_are_told(mark: str) -> None:
    assert [has_further_marks(f"a{mark * count}b{mark * 30}") for count in (30, 31)] == [False, True]


@pytest.mark.parametrize(
    "text",
    [
        SWASH * 10_000,
        "\u2057" * 10_000,
        "\u3301" * 10_000,
        "".join(sorted((ACUTE + DOT_BELOW) * 5_000, reverse=True)),
        "a" + (ACUTE + DOT_BELOW) * 5_000,
        "\u0f77" * 10_000,
    ],
    ids=["U+FDFA", "U+2057", "U+3301", "marks in the wrong order", "marks that alternate", "U+0F77"],
)
def test_no_text_takes_long_to_fold(text: str) -> None:
    started = time.thread_time()
    for _ in range(5):
        has_further_marks(text)
        folded(text)

    assert (time.thread_time() - started) / 5 < 0.05


@pytest.mark.parametrize("text", [SWASH * 10_000, "\u3301" * 10_000, "a" * 10_000 + "é"])
def test_the_interpreter_is_held_for_a_small_piece_at_a_time(text: str) -> None:
    pieces = list(folding._pieces(text))

    assert "".join(pieces) == text
    assert max(map(len, pieces)) == folding.PIECE


def test_folding_ends_with_the_piece_in_which_it_gets_too_long() -> None:
    assert len(folding._folded(SWASH * 10_000)) == 4 * 18 * folding.PIECE

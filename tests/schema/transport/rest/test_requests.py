"""Parameters are read as browsers and the vendor's clients write them."""

from urllib.parse import unquote_plus

from hypothesis import example, given
from hypothesis import strategies as st

from schema.transport.rest.requests import decoded, values_of


@given(st.lists(st.sampled_from(["%", "%4", "%41", "%c3%A9", "%zz", "+", "=", "g", "é", "🏡", "%2B"])).map("".join))
@example("%%41%")
def test_a_value_is_decoded_as_the_library_does_it(text: str) -> None:
    assert decoded(text) == unquote_plus(text, errors="strict")


def test_values_stand_in_the_order_in_which_they_were_sent() -> None:
    values = values_of((("b", "2"), ("a", ""), ("b", "1")))

    assert list(values.items()) == [("b", ["2", "1"]), ("a", [""])]

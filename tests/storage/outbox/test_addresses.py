"""Which addresses mail is sent to and from."""

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.outbox.addresses import Sender, sender, usable_address
from storage.outbox.headers import POLICY


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@family.example", "ada@family.example"),
        ("  Ada.Reid+visits@Family.Example \n", "Ada.Reid+visits@family.example"),
        ("o'brien@family.example", "o'brien@family.example"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@home.test", "ada@home.test"),
        ("ada@family.example\u200b", "ada@family.example"),
        ("\ufeffada@family.example\u2060", "ada@family.example"),
        ("\u202aada@fam\xadily.example\u202c", "ada@family.example"),
        ("ada\u200d@family.\u200cexample", "ada@family.example"),
        ("\xa0ada@family.example\u3000", "ada@family.example"),
        ("ada@b\u200bücher.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_one_plain_address_is_usable(text: str, address: str) -> None:
    assert usable_address(text) == address


@pytest.mark.parametrize(
    "unusable",
    [
        None,
        "",
        "   ",
        "\u200b\ufeff",
        "none",
        "ada",
        "ada@",
        "@family.example",
        "ada@family",
        "ada@localhost",
        "ada@[127.0.0.1]",
        "ada@family.example, evil@other.example",
        "ada@family.example;evil@other.example",
        "ada@family.example evil@other.example",
        "Ada Reid <ada@family.example>",
        "<ada@family.example>",
        "mailto:ada@family.example",
        '"ada, evil@other.example"@family.example',
        "ada@family.example\nBcc: evil@other.example",
        "ada@family.example\r\nBcc: evil@other.example",
        "ada\u2028@family.example",
        "ada\0@family.example",
        "ada@family.example\ud800",
        "zoë@family.example",
        # Without its joiner this would be another domain.
        "ada@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example",
        "a" * 65 + "@family.example",
        "ada@family..example",
        "ada@@family.example",
    ],
)
def test_anything_else_is_not(unusable: str | None) -> None:
    assert usable_address(unusable) is None


@settings(deadline=None)
@given(st.text() | st.text(alphabet='ab@.,;<>" \r\n\u2028é\u200b\xad\u200d'))
def test_a_usable_address_is_one_recipient_in_a_header(text: str) -> None:
    address = usable_address(f"{text}@family.example") or usable_address(text)

    if address is not None:
        assert getaddresses([address]) == [("", address)]
        assert re.fullmatch(r"[!-~]+", address)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("visits@homes.example", Sender("Home visits", "visits@homes.example")),
        ("Our Homes <visits@homes.example>", Sender("Our Homes", "visits@homes.example")),
        ('"Homes, Ltd." <visits@homes.example>', Sender("Homes, Ltd.", "visits@homes.example")),
        ('"Maison Élysée" <visits@homes.example>', Sender("Maison Élysée", "visits@homes.example")),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(setting: str, expected: Sender) -> None:
    assert sender(setting) == expected


@pytest.mark.parametrize(
    "setting",
    [
        "",
        "Our Homes",
        "visits@homes.example, other@homes.example",
        "Our Homes <visits@homes.example>, Others <other@homes.example>",
        "Our\nHomes <visits@homes.example>",
        "zoë@homes.example",
        f"{'x' * 41} <visits@homes.example>",
        r'"Our \"Homes\"" <visits@homes.example>',
    ],
)
def test_a_sender_is_nothing_else(setting: str) -> None:
    with pytest.raises(ValueError, match=r"write it like `Our Homes <visits@homes.example>`"):
        sender(setting)


@settings(deadline=None)
@given(st.text(alphabet="ab é日,.;:<>@()[]'&=?_-…", min_size=1, max_size=40))
def test_the_name_of_a_sender_never_makes_it_two(name: str) -> None:
    name = " ".join(name.split())
    try:
        parsed = sender(f'"{name}" <visits@homes.example>')
    except ValueError:
        return
    letter = EmailMessage(POLICY)

    letter["From"] = Address(parsed.name, addr_spec=parsed.address)
    letter.set_content("")
    [(shown, address)] = getaddresses([message_from_bytes(letter.as_bytes())["From"]])

    assert address == "visits@homes.example"
    assert str(make_header(decode_header(shown))) == parsed.name

"""Whom a letter can be sent to, and whom it comes from."""

from typing import TYPE_CHECKING, NamedTuple

from storage.outbox.characters import without_invisible

if TYPE_CHECKING:
    from email_validator import ValidatedEmail

EXAMPLE = "write it like `Our Homes <visits@homes.example>`"
LONGEST_SENDER = 40


class Sender(NamedTuple):
    name: str
    address: str


def usable_address(text: str | None) -> str | None:
    """Return the one address that mail can be sent to, as servers take it; None where there is none.

    Invisible characters, which come with what is pasted, are no part of it. A list of addresses, a display name, and a mailbox
    whose name is not ASCII, which many servers refuse, are not usable.
    """
    try:
        return _validated(without_invisible(text or "").strip()).ascii_email
    except ValueError:
        return None


def sender(setting: str) -> Sender:
    """Read `visits@homes.example` or `Our Homes <visits@homes.example>`; raise ValueError for anything else."""
    try:
        validated = _validated(setting.strip(), named=True)
    except ValueError as error:
        raise ValueError(f"The sender must be one address: {EXAMPLE}. {error}") from None
    if validated.ascii_email is None:
        raise ValueError(f"The sender's address must be plain ASCII: {EXAMPLE}.")
    name = validated.display_name or "Home visits"
    # The standard library breaks long and quoted names apart in a way that makes several senders of one.
    if len(name.encode()) > LONGEST_SENDER or not name.isprintable() or {'"', "\\"} & set(name):
        raise ValueError(f"The sender's name must be short and without quotes inside: {EXAMPLE}.")
    return Sender(name, validated.ascii_email)


def _validated(text: str, *, named: bool = False) -> "ValidatedEmail":
    # The library prepares its rules for as long as a server needs to answer a hundred requests: not while one starts.
    from email_validator import validate_email  # noqa: PLC0415

    return validate_email(
        text,
        allow_display_name=named,
        allow_smtputf8=named,
        strict=True,
        # Whether mail arrives there is for the mail server to say, also where the domain is .test.
        check_deliverability=False,
        test_environment=True,
    )

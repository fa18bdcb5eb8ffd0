"""What an error says about the changes of its request: which are committed or may be, so that nobody sends those again."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schema.context import Change
from storage.writes import Stage

DONE_MESSAGE: Final = "It is done and saved: do not send it again, but read the visit."
KEY_MESSAGE: Final = "The same idempotency key tells; without one, look for the visit before you book again."
NOTHING: Final = "Nothing was changed"
VERSION_MESSAGE: Final = "The version of the visit tells: read it before you send this again."


def with_outcome(message: str, path: Sequence[str | int] | None, changes: Mapping[str, Change]) -> tuple[str, dict[str, Any]]:
    """Return the message of an error, its advice in view of the changes of the request, and the extensions that say the same.

    An error with a path is about the change at its head, one without about all that were started: it is the whole answer.
    """
    if path:
        change = changes.get(str(path[0]))
        return (message, {}) if change is None else _of_one(message, change)
    return _of_all(message, changes)


def _of_one(message: str, change: Change) -> tuple[str, dict[str, Any]]:
    match change.state.stage:
        case Stage.COMMITTED:
            return f"{_first_sentence(message)} {DONE_MESSAGE}", {"committed": True}
        case Stage.BEGUN:
            return f"{_first_sentence(message)} {_how_to_tell(change)}", {}
    return message, {}


def _of_all(message: str, changes: Mapping[str, Change]) -> tuple[str, dict[str, Any]]:
    first, extensions = _first_sentence(message), dict[str, Any]()
    committed = [key for key, change in changes.items() if change.state.stage is Stage.COMMITTED]
    in_doubt = [key for key, change in changes.items() if change.state.stage is Stage.BEGUN]
    if not committed and not in_doubt:
        return (message if NOTHING in message else f"{first} {NOTHING}.{message.removeprefix(first)}"), extensions
    if committed:
        extensions |= {"committed": True, "committedFields": committed}
        first = f"{first} Done and saved: {', '.join(committed)}. Do not send it again, but read the visit."
    for key in in_doubt:
        extensions["inDoubtFields"] = in_doubt
        first = f"{first} Perhaps done: {key}. {_how_to_tell(changes[key])}"
    return first, extensions


def _how_to_tell(change: Change) -> str:
    return KEY_MESSAGE if change.field == "bookHomeVisit" else VERSION_MESSAGE


def _first_sentence(message: str) -> str:
    """Leave out what follows: advice to try again, as a rule."""
    sentence, full_stop, _ = message.partition(". ")
    return f"{sentence}." if full_stop else message

"""Why storage refuses.

Refusal                      nothing was read or written
├── HomeVisitNotFound        no such visit, or none that the caller may see
├── HomeVisitNotPending      the visit was cancelled or completed
├── VersionConflict          the visit has changed since it was read
├── IdempotencyConflict      the key was used before, with other input
├── InvalidInput             values refused, all of them at once
├── NonceUsed                a signed request that was sent before
├── InvalidPage              a page or cursor that cannot be served
├── UnknownKind              documents of a kind that there is not
├── UnreadableFile           a file of documents that cannot be read
├── NotDelivered             a mail server that takes nothing for now
├── NobodyFound              nothing is kept about a person
├── PersonUnnamed            a request that names nobody, or not clearly
├── AmbiguousPerson          an email address of several people, or of one in several records
├── LetterUnderWay           a letter to a person is being sent
├── NotAllGone               some of what was wiped may still be in files: the one refusal after which what is said was done
├── UpstreamRefused          the CareHQ account that is followed refuses a request
├── UpstreamThrottled        it asks us to wait
├── UpstreamUnavailable      it cannot be reached, fails, or answers what nobody can read
├── UpstreamInDoubt          it was asked to change something, and nobody can say whether it did
├── NotHere                  what only the account itself can do
└── DatabaseUnusable         cannot be opened, is gone, damaged, newer than the code, full, locked or too slow
    ├── DatabaseFull
    ├── DatabaseBusy
    ├── UnfinishedMove       what is moved to it is not all there yet
    └── WriteInDoubt         the one refusal of which it is not known whether anything was written
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from storage.models import HomeVisit

ProblemCode = Literal["INVALID", "NOT_FOUND", "REQUIRED", "TOO_LONG"]


class Problem(NamedTuple):
    """One refused value: the name of the field, why, and what to do about it."""

    field: str
    code: ProblemCode
    message: str


class Refusal(Exception):
    """Nothing was read or written."""


class HomeVisitNotFound(Refusal):
    """No home visit with this ID exists, or you may not see it. Check the ID."""

    def __init__(self, home_visit_id: str) -> None:
        super().__init__(self.__doc__)
        self.home_visit_id = home_visit_id


class HomeVisitNotPending(Refusal):
    """Only a pending home visit can be changed. This one was cancelled or completed."""

    def __init__(self, home_visit: "HomeVisit") -> None:
        ended = home_visit.cancelled or home_visit.completed
        super().__init__(
            f"Only a pending home visit can be changed. This one was {home_visit.status.lower()} on {ended:%d %B %Y}."
        )
        self.home_visit = home_visit


class VersionConflict(Refusal):
    """Somebody else has changed this home visit. Look at it as it is now, then try again with its version."""

    def __init__(self, home_visit: "HomeVisit") -> None:
        super().__init__(self.__doc__)
        self.home_visit = home_visit


class IdempotencyConflict(Refusal):
    """This idempotency key was used for another booking. Use a new key for each booking, the same key only to retry it."""

    def __init__(self, idempotency_key: str) -> None:
        super().__init__(self.__doc__)
        self.idempotency_key = idempotency_key


class InvalidInput(Refusal):
    """Some values were refused. Nothing was saved: correct them and try again."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(self.__doc__)
        self.problems = problems


class NonceUsed(Refusal):
    """This request was sent before. Sign each one anew; an `idempotency_key` makes it safe to book again."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class InvalidPage(Refusal):
    """This page cannot be served; the message says why."""


class UnknownKind(Refusal):
    """No kind of documents has this name, or begins the file's; the message says what to do."""


class UnreadableFile(Refusal):
    """A file cannot be read; the message says which and why."""


class NotDelivered(Refusal):
    """The mail server takes nothing for now; the message says why."""


class NobodyFound(Refusal):
    """Nothing is kept about this person; the message says what to check."""


class PersonUnnamed(Refusal):
    """A request names nobody, or not clearly; the message says how to name somebody."""


class AmbiguousPerson(Refusal):
    """Several records have this email address, or one has one like it; the message lists them by their IDs."""


class LetterUnderWay(Refusal):
    """A letter to them is being sent. Nothing was changed: try again in a minute."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class NotAllGone(Refusal):
    """Some was wiped, and some may still be there; the message says what was, and what to do."""


class UpstreamRefused(Refusal):
    """The CareHQ account refuses this request: with what status, why, and of each argument what is wrong with it."""

    def __init__(self, status: int, hint: str, arg_errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(f"CareHQ refuses a request ({status}: {hint or 'no reason'}). Check the key that it is called with.")
        self.status = status
        self.hint = hint
        self.arg_errors = arg_errors


class UpstreamThrottled(Refusal):
    """The CareHQ account asks us to wait for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"CareHQ asks us to wait for {seconds:.0f} s.")
        self.seconds = seconds


class UpstreamUnavailable(Refusal):
    """The CareHQ account cannot be used for now; the message says why. `may_be_done`: it may have received the request."""

    def __init__(self, reason: str, *, may_be_done: bool) -> None:
        super().__init__(f"CareHQ cannot be used for now: {reason}. Try again later.")
        self.may_be_done = may_be_done
        self.reason = reason


class UpstreamInDoubt(Refusal):
    """CareHQ did not say whether it has taken this. Look before you send it again: what it has taken appears here by itself."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class NotHere(Refusal):
    """This is done in CareHQ, whose account is followed here; the message says what."""


class DatabaseUnusable(Refusal):
    """The database cannot be used; the message says what to do."""


class DatabaseFull(DatabaseUnusable):
    """There is no room left to save this. Nothing was changed: try again once space has been freed."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class DatabaseBusy(DatabaseUnusable):
    """The database did not answer in time. Nothing was changed: try again in a moment."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class UnfinishedMove(DatabaseUnusable):
    """The database is being filled by a move, or a move to it was killed; the message says what to do."""


class WriteInDoubt(DatabaseUnusable):
    """The database failed while it saved this, which may have been saved all the same. Look before you send it again."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)

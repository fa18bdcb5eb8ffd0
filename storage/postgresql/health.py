"""What the log says of a database that fails: that it does, with the reason, and when it does no more."""

import contextlib
import logging
from collections.abc import Iterator

from storage.errors import DatabaseBusy, DatabaseUnusable
from storage.postgresql.refusals import reason_of, translate_errors

log = logging.getLogger(__name__)


class Health:
    """Of what is done with a database, `read` or `written`. `failure` is why it fails, None while it does not."""

    def __init__(self, done: str) -> None:
        self.failure: str | None = None
        self._done = done

    @contextlib.contextmanager
    def translating(self, *, busy: bool = False) -> Iterator[None]:
        """Translate the driver's errors, and log what keeps the database from being used; also that it is `busy`, if so."""
        try:
            with translate_errors():
                yield
        except DatabaseUnusable as refusal:
            if busy or not isinstance(refusal, DatabaseBusy):
                self._note_failure(refusal)
            raise

    def note_success(self) -> None:
        if self.failure is not None:
            self.failure = None
            log.warning("The database can be %s again", self._done)

    def _note_failure(self, refusal: DatabaseUnusable) -> None:
        # What else there is speaks to clients: the reason is the driver's.
        cause = None if type(refusal) is DatabaseUnusable else refusal.__cause__
        reason = f"{reason_of(cause)}." if cause else str(refusal).removeprefix("The database cannot be used: ")
        if reason != self.failure:
            self.failure = reason
            log.error("The database cannot be %s. %s", self._done, reason)

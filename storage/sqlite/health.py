"""What keeps a database from being used: looked for, remembered, and logged when it begins and when it ends."""

import logging

from storage.errors import DatabaseUnusable, WriteInDoubt
from storage.sqlite.files import READ_ONLY, Fault, OpenFiles

log = logging.getLogger(__name__)


class Health:
    """The fault of a database, if it has one; `fault` is as it was when somebody last looked."""

    def __init__(self, files: OpenFiles) -> None:
        self.fault: Fault | None = None
        self._files = files
        self._permission_fault: Fault | None = None
        self._schema_fault: Fault | None = None
        self._failure: str | None = None

    def look(self) -> Fault | None:
        fault = self._files.fault() or self._permission_fault or self._schema_fault
        if fault != self.fault:
            self.fault = fault
            if fault:
                log.error("The database cannot be used. %s", fault.reason)
            else:
                log.warning("The database can be used again")
        return fault

    def check_permissions(self) -> None:
        self._permission_fault = self._files.permission_fault()

    def note_schema(self, fault: Fault | None) -> None:
        """Remember what is wrong with the schema, or that nothing is."""
        self._schema_fault = fault
        self.look()

    def require_writable(self) -> None:
        """Raise DatabaseUnusable where a restart would not find, or not take, what is written now."""
        self.look()
        self.require_usable()

    def require_kept(self) -> None:
        """Raise WriteInDoubt where a restart may not find what was committed just now."""
        if self.look() not in (None, READ_ONLY):
            raise WriteInDoubt

    def require_usable(self) -> None:
        if self.fault:
            raise DatabaseUnusable(self.fault.reason)

    def require_readable(self) -> None:
        """Raise DatabaseUnusable where what is read now may not be true."""
        if self.fault and not self.fault.allows_reads:
            raise DatabaseUnusable(self.fault.reason)

    def note_failure(self, refusal: DatabaseUnusable) -> None:
        """Log why statements fail: once, until a write goes through."""
        reason = str(refusal)
        if reason != self._failure and not (self.fault and reason == self.fault.reason):
            self._failure = reason
            log.error("The database refused a statement. %s", refusal)

    def note_commit(self) -> None:
        if self._failure is not None:
            self._failure = None
            log.warning("The database is written again")

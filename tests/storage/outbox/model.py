"""What must become of visits and their mail, told a second time and without a database: the measure for random histories."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

Outcome = Literal["taken", "put off", "refused", "cut after the letter", "unreachable", "crash before", "crash after"]


@dataclass
class Mail:
    visit: "Visit"
    number: int
    give_up: datetime
    due: datetime
    status: str = "QUEUED"
    attempts: int = 0
    leased_until: datetime | None = None
    copies: int = 0


@dataclass
class Visit:
    id: str
    time: datetime
    confirmation: str = ""
    version: int = 1
    pending: bool = True
    mails: list[Mail] = field(default_factory=list)


@dataclass
class Model:
    now: datetime
    has_address: bool = True
    visits: list[Visit] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)

    def decide(self, visit: Visit, suppressed: bool) -> None:
        """Decide on the mail of a visit that was booked or moved."""
        for mail in visit.mails:
            if mail.status in {"QUEUED", "FAILED"}:
                mail.status = "WITHDRAWN"
        if suppressed:
            visit.confirmation = "SUPPRESSED"
        elif not self.has_address:
            visit.confirmation = "NOT_POSSIBLE"
        else:
            visit.confirmation = "QUEUED"
            days_later = self.now + timedelta(hours=48)
            give_up = min(visit.time, days_later) if visit.time > self.now else days_later
            self.mails.append(Mail(visit, visit.version - 1, give_up, self.now))
            visit.mails.append(self.mails[-1])

    def end(self, visit: Visit) -> None:
        visit.pending = False
        for mail in visit.mails:
            if mail.status == "QUEUED":
                mail.status = visit.confirmation = "WITHDRAWN"

    def deliver(self, outcome: Outcome) -> None:
        while mail := next(self._due(), None):
            if mail.give_up <= self.now or not self.has_address:
                mail.status = mail.visit.confirmation = "FAILED"
                continue
            mail.attempts += 1
            mail.leased_until = None
            mail.copies += outcome in {"taken", "cut after the letter", "crash after"}
            if outcome == "taken":
                mail.status = mail.visit.confirmation = "SENT"
            elif outcome == "refused":
                mail.status = mail.visit.confirmation = "FAILED"
            elif outcome in {"crash before", "crash after"}:
                mail.leased_until = self.now + timedelta(seconds=60)
                return
            else:
                self._put_off(mail)
                if outcome != "put off":
                    return

    def retry(self) -> None:
        for mail in self.mails:
            if mail.status == "FAILED" and mail.visit.pending:
                mail.status = mail.visit.confirmation = "QUEUED"
                mail.due, mail.attempts = self.now, 0
                late = self.now + timedelta(hours=48)
                mail.give_up = min(mail.visit.time, late) if mail.visit.time > self.now else late

    def _due(self) -> Iterator[Mail]:
        waiting = [mail for mail in self.mails if mail.status == "QUEUED" and mail.due <= self.now]
        for mail in sorted(waiting, key=lambda mail: mail.due):
            if not any(other.leased_until and other.leased_until > self.now for other in mail.visit.mails):
                yield mail

    def _put_off(self, mail: Mail) -> None:
        again = self.now + timedelta(seconds=min(30 * 2 ** (mail.attempts - 1), 3600))
        if again < mail.give_up:
            mail.due = again
        else:
            mail.status = mail.visit.confirmation = "FAILED"

"""What must become of visits and their mail, told a second time and without a database: the measure for random histories."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

Outcome = Literal["taken", "put off", "refused", "cut after the letter", "unreachable", "crash before", "crash after"]

LONDON = ZoneInfo("Europe/London")
AS_WRITTEN = "%A %-d %B %Y at %H:%M (%Z, Europe/London)"


class Copy(NamedTuple):
    """A letter as it arrives: what it does to the calendar, for which time, and which it says was the old one."""

    method: str
    time: datetime
    old_time: str | None


@dataclass
class Mail:
    visit: "Visit"
    time: datetime
    give_up: datetime
    due: datetime
    cancels: bool = False
    status: str = "QUEUED"
    attempts: int = 0
    leased_until: datetime | None = None
    copies: list[Copy] = field(default_factory=list)


@dataclass
class Visit:
    id: str
    time: datetime
    confirmation: str = ""
    state: Literal["pending", "cancelled", "completed"] = "pending"
    mails: list[Mail] = field(default_factory=list)

    @property
    def pending(self) -> bool:
        return self.state == "pending"

    @property
    def in_calendar(self) -> datetime | None:
        """The time that the family was last sent, as far as that is known here."""
        last = next((mail for mail in reversed(self.mails) if mail.status == "SENT"), None)
        return None if last is None or last.cancels else last.time


@dataclass
class Model:
    now: datetime
    has_address: bool = True
    visits: list[Visit] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)

    def decide(self, visit: Visit, suppressed: bool) -> None:
        """Decide on the mail of a visit that was booked or moved."""
        self._withdraw(visit, "QUEUED", "FAILED")
        if suppressed:
            visit.confirmation = "SUPPRESSED"
        elif visit.time <= self.now:
            visit.confirmation = "NOT_REQUIRED"
        elif not self.has_address:
            visit.confirmation = "NOT_POSSIBLE"
        else:
            self._queue(visit)

    def end(self, visit: Visit, state: Literal["cancelled", "completed"], *, notify: bool) -> None:
        visit.state = state
        if self._withdraw(visit, "QUEUED"):
            visit.confirmation = "WITHDRAWN"
        on_its_way = any(mail.leased_until and mail.leased_until > self.now for mail in visit.mails)
        if not notify or visit.time <= self.now or not (visit.in_calendar or on_its_way):
            return
        if not self.has_address:
            visit.confirmation = "NOT_POSSIBLE"
        else:
            self._withdraw(visit, "FAILED")
            self._queue(visit, cancels=True)

    def anonymize(self, visit: Visit) -> None:
        if self._withdraw(visit, "QUEUED"):
            visit.confirmation = "WITHDRAWN"

    def deliver(self, outcome: Outcome) -> None:
        while mail := next(self._due(), None):
            in_calendar = mail.visit.in_calendar
            if self._says_nothing_new(mail, in_calendar):
                mail.status = mail.visit.confirmation = "NOT_REQUIRED"
                continue
            if mail.give_up <= self.now or not self.has_address:
                mail.status = mail.visit.confirmation = "FAILED"
                continue
            mail.attempts += 1
            mail.leased_until = None
            if outcome in {"taken", "cut after the letter", "crash after"}:
                mail.time = in_calendar if mail.cancels and in_calendar else mail.time
                old_time = None if mail.cancels or in_calendar is None else f"{in_calendar.astimezone(LONDON):{AS_WRITTEN}}"
                mail.copies.append(Copy("CANCEL" if mail.cancels else "REQUEST", mail.time, old_time))
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
            if mail.status == "FAILED" and mail.visit.state == ("cancelled" if mail.cancels else "pending"):
                mail.status = mail.visit.confirmation = "QUEUED"
                mail.due, mail.attempts = self.now, 0
                mail.give_up = self._give_up(mail.visit)

    def _queue(self, visit: Visit, *, cancels: bool = False) -> None:
        visit.confirmation = "QUEUED"
        visit.mails.append(Mail(visit, visit.time, self._give_up(visit), self.now, cancels))
        self.mails.append(visit.mails[-1])

    def _give_up(self, visit: Visit) -> datetime:
        return min(visit.time, self.now + timedelta(hours=48))

    def _withdraw(self, visit: Visit, *statuses: str) -> bool:
        withdrawn = [mail for mail in visit.mails if mail.status in statuses]
        for mail in withdrawn:
            mail.status = "WITHDRAWN"
        return bool(withdrawn)

    def _says_nothing_new(self, mail: Mail, in_calendar: datetime | None) -> bool:
        if mail.cancels:
            return in_calendar is None
        return in_calendar is not None and f"{in_calendar:%F %H:%M}" == f"{mail.time:%F %H:%M}"

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

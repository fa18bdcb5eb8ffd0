"""What clients send: filters, orders and the inputs of mutations."""

from datetime import date, datetime
from typing import Annotated, Any, cast

import strawberry
from strawberry import ID, UNSET, Maybe

from schema.enums import (
    ConfirmationStatus,
    HomeVisitEventType,
    HomeVisitOrderField,
    HomeVisitStatus,
    OrderDirection,
    VisitHost,
    VisitType,
)
from schema.scalars import TimeZone
from storage import lifecycle
from storage.events import conditions as events
from storage.queries import conditions
from storage.queries.paging import Window
from storage.repository import OrderKeys


def _optional(description: str) -> Any:
    return strawberry.field(default=UNSET, description=description)


@strawberry.input(description="All conditions given must hold. Null or absent: no condition. An empty list matches nothing.")
class HomeVisitFilter:
    ids: list[ID] | None = _optional("The visit is one of these, 250 at most.")
    care_enquiry: list[ID] | None = _optional("The visit was booked for one of these care enquiries, 250 at most.")
    location: list[ID] | None = _optional("The visit is to one of these locations, 250 at most.")
    assigned_to: list[ID] | None = _optional("The visit is assigned to one of these users, 250 at most.")
    service_user_contact: list[ID] | None = _optional("One of these contacts attends, 250 at most.")
    status: list[HomeVisitStatus] | None = _optional("The visit has one of these statuses.")
    host: list[VisitHost] | None = _optional("The visit is hosted by one of these roles.")
    visit_type: list[VisitType] | None = _optional("The visit takes place in one of these ways.")
    anonymized: bool | None = _optional("True: personal data were removed. False: they were not.")
    cancelled: bool | None = _optional("True: the visit was cancelled. False: it was not.")
    completed: bool | None = _optional("True: the visit was completed. False: it was not.")
    start_date: date | None = _optional("The visit is on this day or later.")
    end_date: date | None = _optional("The visit is on this day or earlier.")
    time_zone: TimeZone = strawberry.field(
        default=TimeZone("UTC"), description="The zone whose days `startDate` and `endDate` are."
    )
    modified_after: datetime | None = _optional("The visit was last changed after this instant.")
    modified_before: datetime | None = _optional("The visit was last changed before this instant.")
    keyword: str | None = _optional(
        "The notes contain this text, whatever the case. Blank: no condition. 100 characters at most."
    )
    attendee: str | None = _optional(
        "The name, email address or telephone number of the care seeker, or of the contact who attends in their place, contains "
        "this text, whatever the case, marks, apostrophes and hyphens. Blank: no condition. 100 characters at most."
    )
    date_time_from: datetime | None = _optional("The visit is at this instant or later.")
    date_time_before: datetime | None = _optional("The visit is before this instant.")
    created_after: datetime | None = _optional("The visit was booked after this instant.")
    created_before: datetime | None = _optional("The visit was booked before this instant.")
    assigned: bool | None = _optional("True: somebody is assigned. False: nobody is.")
    confirmation: list[ConfirmationStatus] | None = _optional("One of these became of the last confirmation email.")


@strawberry.input(
    description="All conditions given must hold, on what never changes about a visit or an event, so that what is replayed and "
    "what is live agree. Null or absent: no condition. An empty list matches nothing."
)
class HomeVisitEventFilter:
    home_visit: list[ID] | None = _optional("It happened to one of these visits, 250 at most.")
    care_enquiry: list[ID] | None = _optional("It happened to a visit for one of these care enquiries, 250 at most.")
    location: list[ID] | None = _optional("It happened to a visit to one of these locations, 250 at most.")
    type: list[HomeVisitEventType] | None = _optional("One of these happened.")
    actor: list[str] | None = _optional("One of these made the change, 250 at most.")
    at_from: datetime | None = _optional("It happened at this instant or later.")
    at_before: datetime | None = _optional("It happened before this instant.")


@strawberry.input(description="One key of an order: later keys decide where earlier ones are equal, the ID where all are.")
class HomeVisitOrder:
    field: HomeVisitOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Ascending unless asked otherwise.")


@strawberry.input(description="A home visit to book.")
class BookHomeVisitInput:
    care_enquiry: ID = strawberry.field(description="The care enquiry to book for. The visit is to its location.")
    date_time: datetime = strawberry.field(
        description="When the visit takes place, in whole seconds: what is below is cut. From 2000 to 2100, else INVALID. A past "
        "time is accepted, and not confirmed: walk-ins are recorded later."
    )
    host: VisitHost = strawberry.field(description="The role of the staff member who will host the visit.")
    visit_type: VisitType = strawberry.field(description="Whether the visitors come in person or by video call.")
    assigned_to: ID | None = _optional(
        "The user to assign the visit to. Null or absent: the one that the care enquiry is assigned to."
    )
    service_user_contact: ID | None = _optional(
        "The contact who will attend, one of the care enquiry. Null or absent: the care seeker attends."
    )
    notes: str = strawberry.field(default="", description="Notes regarding the visit, 10,000 characters at most.")
    suppress_confirmation: bool = strawberry.field(default=False, description="True: no confirmation email is sent.")
    idempotency_key: str | None = _optional(
        "Makes a retry safe: the same key with the same input answers with the first booking, and with other input is refused. "
        "1 to 255 characters, kept for 24 hours at least."
    )


def _changed(description: str) -> Any:
    return strawberry.field(default=None, description=description)


@strawberry.input(description="Changes to a pending home visit.")
class UpdateHomeVisitInput:
    id: ID = strawberry.field(description="The visit to update.")
    date_time: Maybe[datetime | None] = _changed(
        "When the visit takes place, in whole seconds, from 2000 to 2100. Absent: unchanged. Null is refused (REQUIRED)."
    )
    host: Maybe[VisitHost | None] = _changed("The role of the host. Absent: unchanged. Null is refused (REQUIRED).")
    notes: Maybe[str | None] = _changed("Notes, 10,000 characters at most. Absent: unchanged. Null: empty.")
    assigned_to: Maybe[ID | None] = _changed(
        "The user. Absent: unchanged. Null: back to the one that the care enquiry is assigned to."
    )
    suppress_confirmation: bool = strawberry.field(
        default=False, description="True: no confirmation email is sent for a changed time."
    )
    expected_version: int | None = _optional("Refuse the update if the visit's version is another by now.")


@strawberry.input(description="A pending home visit to cancel.")
class CancelHomeVisitInput:
    id: ID = strawberry.field(description="The visit to cancel.")
    expected_version: int | None = _optional("Refuse to cancel if the visit's version is another by now.")
    notify_care_seeker: bool = strawberry.field(
        default=False,
        description="True: tell the care seeker by an email that takes the visit out of their calendar, where an invitation was "
        "sent and the visit's time has not passed.",
    )


@strawberry.input(description="A pending home visit to complete.")
class CompleteHomeVisitInput:
    id: ID = strawberry.field(description="The visit to complete.")
    expected_version: int | None = _optional("Refuse to complete if the visit's version is another by now.")


def argument(description: str) -> Any:
    return strawberry.argument(description=description)


First = Annotated[int | None, argument("How many from the start of the list, or after `after`: 0 to 100, and 10 without `last`.")]
After = Annotated[str | None, argument("The cursor that the page comes after.")]
Last = Annotated[
    int | None, argument("How many from the end of the list, or before `before`: 0 to 100. Not both `first` and `last`.")
]
Before = Annotated[str | None, argument("The cursor that the page comes before.")]
Filter = Annotated[HomeVisitFilter | None, argument("Which visits. Null or absent: all that the caller may see.")]
EventFilter = Annotated[HomeVisitEventFilter | None, argument("Which events. Null or absent: all that the caller may see.")]
OrderBy = Annotated[
    list[HomeVisitOrder], argument("What comes first: the first key decides, the next where it is equal, the ID where all are.")
]

BY_ID = [HomeVisitOrder(field=HomeVisitOrderField.ID)]
BY_TIME = [HomeVisitOrder(field=HomeVisitOrderField.DATE_TIME)]


def unset_to_none(value: Any) -> Any:
    """Return the value, None where the client left it out."""
    return None if value is UNSET else value


def filter_of(filter: HomeVisitFilter | None) -> conditions.HomeVisitFilter:
    return cast("conditions.HomeVisitFilter", {} if not filter else {k: v for k, v in vars(filter).items() if v is not UNSET})


def event_filter_of(filter: HomeVisitEventFilter | None) -> events.HomeVisitEventFilter:
    return cast("events.HomeVisitEventFilter", {} if not filter else {k: v for k, v in vars(filter).items() if v is not UNSET})


def order_of(order_by: list[HomeVisitOrder]) -> OrderKeys:
    return [(key.field.value, key.direction is OrderDirection.DESC) for key in order_by]


def window_of(first: int | None, after: str | None, last: int | None, before: str | None) -> Window:
    return Window.of(unset_to_none(first), unset_to_none(after), unset_to_none(last), unset_to_none(before))


def trimmed(value: Any) -> Any:
    """Return a text without white space around it, as IDs and keys are pasted; None where the client left it out."""
    return value.strip() if isinstance(value, str) else unset_to_none(value)


def booking_of(input: BookHomeVisitInput) -> lifecycle.BookingInput:
    return lifecycle.BookingInput(
        care_enquiry=trimmed(input.care_enquiry),
        date_time=input.date_time,
        host=input.host,
        visit_type=input.visit_type,
        assigned_to=trimmed(input.assigned_to),
        service_user_contact=trimmed(input.service_user_contact),
        notes=input.notes,
    )


def changes_of(input: UpdateHomeVisitInput) -> dict[str, Any]:
    """Return what the client gave, null included."""
    changed = {name: getattr(input, name) for name in ("date_time", "host", "notes", "assigned_to")}
    changes = {name: some.value for name, some in changed.items() if some is not None}
    if "assigned_to" in changes:
        changes["assigned_to"] = trimmed(changes["assigned_to"])
    return changes

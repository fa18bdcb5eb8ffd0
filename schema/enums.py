"""The values that a field may have, each with what it means."""

from enum import Enum
from typing import TypeVar

import strawberry

from schema.execution.internals import describe_values
from storage.caller import Role
from storage.lifecycle import HomeVisitOperation
from storage.models import ConfirmationStatus, HomeVisitStatus, VisitHost, VisitType

E = TypeVar("E", bound=type[Enum])


def _described(enum: E, description: str, **values: str) -> E:
    """Make an enum of storage one of the API: what its values mean is said here, in the words of the API."""
    strawberry.enum(enum, description=description)
    describe_values(enum, values)
    return enum


class HomeVisitOrderField(Enum):
    ID = "id"
    DATE_TIME = "date_time"
    CREATED = "created"
    MODIFIED = "modified"


class CareEnquiryOrderField(Enum):
    ID = "id"
    NAME = "name_folded"


class LocationOrderField(Enum):
    ID = "id"
    NAME = "name_folded"


class UserOrderField(Enum):
    ID = "id"
    NAME = "name_folded"


class OrderDirection(Enum):
    ASC = "ASC"
    DESC = "DESC"


class InputProblemCode(Enum):
    INVALID = "INVALID"
    NOT_FOUND = "NOT_FOUND"
    REQUIRED = "REQUIRED"
    TOO_LONG = "TOO_LONG"


_described(
    HomeVisitStatus,
    "PENDING may become CANCELLED or COMPLETED; both are final.",
    PENDING="Booked, and neither cancelled nor completed yet.",
    CANCELLED="Called off. `cancelled` tells when.",
    COMPLETED="Took place. `completed` tells when that was recorded.",
)
_described(
    VisitType,
    "How a visit takes place.",
    IN_PERSON="The visitors come to the location.",
    VIRTUAL="By video call.",
)
_described(
    VisitHost,
    "The role, at the location, of the staff member who hosts a visit.",
    MANAGER="The manager of the location.",
    DEPUTY_MANAGER="The manager's deputy.",
    ADMINISTRATOR="An administrator.",
    RECEPTIONIST="A receptionist.",
    SENIOR_CARER="A senior carer.",
    CARER="A carer.",
    CUSTOMER_RELATIONS_ADVISER="A customer relations adviser.",
    NURSE="A nurse.",
    OTHER="Somebody in another role.",
)
_described(
    ConfirmationStatus,
    "What became of a confirmation email, or why there is none.",
    NOT_REQUIRED="No email was due: the visit was imported, its time had passed when it was booked or moved, or the care seeker "
    "had last been sent the very same time.",
    SUPPRESSED="The request set `suppressConfirmation`.",
    NOT_POSSIBLE="The care seeker has no usable email address.",
    QUEUED="Waiting to be sent, or to be tried again.",
    SENT="Handed to the mail server.",
    WITHDRAWN="The visit was moved, cancelled, completed or anonymized before the email went out.",
    FAILED="Given up. Whoever operates the gateway finds the reason in its outbox.",
)
_described(
    HomeVisitOperation,
    "What can be done to a visit.",
    UPDATE="Change its time, host, notes or user: `updateHomeVisit`.",
    CANCEL="Call it off: `cancelHomeVisit`.",
    COMPLETE="Record that it took place: `completeHomeVisit`.",
)
_described(
    Role,
    "What a caller may do.",
    VIEWER="Read.",
    COORDINATOR="Read, book, update, cancel and complete.",
    ADMIN="All that a coordinator may, and operate the gateway.",
)
_described(
    HomeVisitOrderField,
    "What visits can be ordered by.",
    ID="The ID, which is the order in which visits were booked.",
    DATE_TIME="When the visit takes place.",
    CREATED="When the visit was booked.",
    MODIFIED="When the visit was last changed.",
)
_BY_LAST_NAME = (
    "The last name, then the first, whatever the case and marks. Ascending, who has no name, or is known by its ID only, comes "
    "last."
)
_described(
    CareEnquiryOrderField,
    "What care enquiries can be ordered by.",
    ID="The ID, which is the order in which care enquiries were made.",
    NAME=_BY_LAST_NAME,
)
_described(
    LocationOrderField,
    "What locations can be ordered by.",
    ID="The ID, which is the order in which locations were made.",
    NAME="The name, whatever the case and marks. Ascending, what has no name, or is known by its ID only, comes last.",
)
_described(
    UserOrderField,
    "What users can be ordered by.",
    ID="The ID, which is the order in which users were made.",
    NAME=_BY_LAST_NAME,
)
_described(OrderDirection, "Which end comes first.", ASC="Earliest or lowest first.", DESC="Latest or highest first.")
_described(
    InputProblemCode,
    "Why a value was refused.",
    INVALID="The value cannot be used here.",
    NOT_FOUND="It names something that does not exist, or that the caller may not see.",
    REQUIRED="A value is needed.",
    TOO_LONG="The value is longer than it may be.",
)

__all__ = [
    "CareEnquiryOrderField",
    "ConfirmationStatus",
    "HomeVisitOperation",
    "HomeVisitOrderField",
    "HomeVisitStatus",
    "InputProblemCode",
    "LocationOrderField",
    "OrderDirection",
    "Role",
    "UserOrderField",
    "VisitHost",
    "VisitType",
]

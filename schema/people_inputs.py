"""What clients send to find people and locations: filters and orders of their lists."""

from typing import Annotated, Any, cast

import strawberry
from strawberry import ID, UNSET

from schema.enums import CareEnquiryOrderField, LocationOrderField, OrderDirection, UserOrderField, VisitHost
from schema.inputs import argument
from storage.queries.people_filters import PeopleFilter
from storage.repository import OrderKeys


def _optional(description: str, default: Any = UNSET) -> Any:
    return strawberry.field(default=default, description=description)


def _search(what: str) -> str:
    return (
        f"{what} contains this text, whatever the case, marks, apostrophes and hyphens: `zoe` finds Zoë, `oneill` O'Neill. "
        "A number is compared by its digits, without country code or leading 0. Under 3 characters: a word of the name, or the "
        "address, begins with it. What is known by its ID only is not found, nor is anybody who was anonymized. Blank: no "
        "condition. 100 characters at most."
    )


@strawberry.input(description="All conditions given must hold. Null or absent: no condition. An empty list matches nothing.")
class CareEnquiryFilter:
    ids: list[ID] | None = _optional("The care enquiry is one of these, 250 at most.")
    location: list[ID] | None = _optional("The enquiry is for one of these locations, as far as the caller may see, 250 at most.")
    assigned_to: list[ID] | None = _optional("The enquiry is assigned to one of these users, 250 at most.")
    anonymized: bool | None = _optional("True: personal data were removed. False: they were not.")
    search: str | None = _optional(
        _search("The care seeker's name, in either order (`Ngozi Okafor`, `Okafor, Ngozi`), email address or telephone number")
    )


@strawberry.input(description="All conditions given must hold. Null or absent: no condition. An empty list matches nothing.")
class LocationFilter:
    ids: list[ID] | None = _optional("The location is one of these, 250 at most.")
    search: str | None = _optional(_search("The location's name, email address or telephone number"))


@strawberry.input(
    description="All conditions given must hold. Null or absent: no condition. An empty list matches nothing. Suspended users "
    "are left out unless asked for."
)
class UserFilter:
    ids: list[ID] | None = _optional("The user is one of these, 250 at most.")
    location: list[ID] | None = _optional("The user works at one of these locations, as far as the caller may see, 250 at most.")
    role: list[VisitHost] | None = _optional("The user's role at their locations is one of these.")
    suspended: bool | None = _optional("False: users who are not suspended. True: those who are. Null: both.", default=False)
    search: str | None = _optional(_search("The user's name, in either order, or email address"))


_ORDER = "One key of an order: later keys decide where earlier ones are equal, the ID where all are."


@strawberry.input(description=_ORDER)
class CareEnquiryOrder:
    field: CareEnquiryOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Ascending unless asked otherwise.")


@strawberry.input(description=_ORDER)
class LocationOrder:
    field: LocationOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Ascending unless asked otherwise.")


@strawberry.input(description=_ORDER)
class UserOrder:
    field: UserOrderField = strawberry.field(description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Ascending unless asked otherwise.")


_WHAT_COMES_FIRST = "What comes first: the first key decides, the next where it is equal, the ID where all are."

CareEnquiries = Annotated[CareEnquiryFilter | None, argument("Which enquiries. Null or absent: all that the caller may see.")]
Locations = Annotated[LocationFilter | None, argument("Which locations. Null or absent: all that the caller may see.")]
Users = Annotated[UserFilter | None, argument("Which users. Null or absent: all that the caller may see and are not suspended.")]
OrderCareEnquiries = Annotated[list[CareEnquiryOrder], argument(_WHAT_COMES_FIRST)]
OrderLocations = Annotated[list[LocationOrder], argument(_WHAT_COMES_FIRST)]
OrderUsers = Annotated[list[UserOrder], argument(_WHAT_COMES_FIRST)]

NEWEST_FIRST = [CareEnquiryOrder(field=CareEnquiryOrderField.ID, direction=OrderDirection.DESC)]
LOCATIONS_BY_NAME = [LocationOrder(field=LocationOrderField.NAME)]
USERS_BY_NAME = [UserOrder(field=UserOrderField.NAME)]


def people_filter_of(filter: CareEnquiryFilter | LocationFilter | UserFilter | None) -> PeopleFilter:
    values = vars(filter).items() if filter else ()
    return cast("PeopleFilter", {name: value for name, value in values if value is not UNSET})


def user_filter_of(filter: UserFilter | None) -> PeopleFilter:
    """Return the conditions: those of an empty filter where there is none."""
    return people_filter_of(filter or UserFilter())


def people_order_of(order_by: list[CareEnquiryOrder] | list[LocationOrder] | list[UserOrder]) -> OrderKeys:
    return [(key.field.value, key.direction is OrderDirection.DESC) for key in order_by]

"""The API as one schema, and the engine that runs it: the root types over the words of `schema`."""

from collections.abc import Callable
from typing import Any

import strawberry
from graphql.utilities.print_schema import print_schema_definition
from strawberry.schema.config import StrawberryConfig

from resolvers.mutations import Mutation
from resolvers.queries import Query
from resolvers.sizes import SIZES_OF_LISTS
from resolvers.subscriptions import Subscription
from schema.execution.engine import Engine
from schema.execution.internals import core_schema, describe
from schema.execution.limits import Limits, PageSizes
from schema.execution.lists import ListLengths
from schema.scalars import SCALARS, STORED_SCALARS
from schema.types import ServiceUserContact
from storage.queries.conditions import LIST_LENGTH
from storage.queries.paging import LARGEST_PAGE, ORDER_KEYS, PAGE

ORDERS = ("HomeVisitOrder", "CareEnquiryOrder", "LocationOrder", "UserOrder")
DESCRIPTION = (
    "The home visits of a care-home CRM: somebody seeking care, or a relative, comes to see a care home, in person or by video "
    "call.\n\n"
    "`homeVisits` lists and pages through visits, `homeVisit` reads one; `careEnquiries`, `locations` and `users` find what a "
    "visit is booked for, where, and by whom; `bookHomeVisit`, `updateHomeVisit`, `cancelHomeVisit` "
    "and `completeHomeVisit` change them. Each change is an event: `homeVisitEvents` lists them, `homeVisitChanged` pushes them "
    "as they are committed.\n\n"
    "A mutation that changes nothing says why by a `UserError` in its result. All else that goes wrong is in `errors`, with a "
    "code in `extensions.code`.\n\n"
    "What an answer may cost is limited: one for each object in it, `first` and `last` counted in full; one more for each leaf "
    "of an object beyond its first 20, aliases counted; two more for each page below an object. `homeVisitCounts` counts as the "
    "groups that its filter leaves room for: 50 locations, 50 users and 366 days where it names none. Its bytes "
    "are limited, too. The code `QUERY_TOO_COMPLEX` says which limit was passed."
)


def make_schema() -> strawberry.Schema:
    # Types that only an interface leads to have to be named.
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[ServiceUserContact],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    describe(schema, DESCRIPTION)
    return schema


def make_engine(
    limits: Limits,
    *,
    schema: strawberry.Schema | None = None,
    may_introspect: Callable[[Any], bool] = lambda _context: True,
    planned: bool = True,
    suggest: bool = True,
) -> Engine:
    """Make the engine of the API: its page sizes and its stored scalars are those of storage."""
    return Engine(
        schema or make_schema(),
        limits,
        may_introspect=may_introspect,
        planned=planned,
        suggest=suggest,
        page_sizes=PageSizes(PAGE, LARGEST_PAGE, SIZES_OF_LISTS),
        list_lengths=ListLengths(LIST_LENGTH, dict.fromkeys(ORDERS, ORDER_KEYS)),
        scalars=STORED_SCALARS,
    )


def schema_definition() -> str:
    """Return the schema in the schema definition language."""
    schema = make_schema()
    return f"{print_schema_definition(core_schema(schema))}\n\n{schema.as_str()}"

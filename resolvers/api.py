"""The API as one schema: the root types over the words of `schema`."""

import strawberry
from graphql.utilities.print_schema import print_schema_definition
from strawberry.schema.config import StrawberryConfig

from resolvers.mutations import Mutation
from resolvers.queries import Query
from schema.scalars import SCALARS
from schema.types import ServiceUserContact

DESCRIPTION = (
    "The home visits of a care-home CRM: somebody seeking care, or a relative, comes to see a care home, in person or by video "
    "call.\n\n"
    "`homeVisits` lists and pages through visits, `homeVisit` reads one; `bookHomeVisit`, `updateHomeVisit`, `cancelHomeVisit` "
    "and `completeHomeVisit` change them. A mutation that changes nothing says why by a `UserError` in its result. All else that "
    "goes wrong is in `errors`, with a code in `extensions.code`."
)


def make_schema() -> strawberry.Schema:
    # Types that only an interface leads to have to be named.
    made = strawberry.Schema(
        query=Query, mutation=Mutation, types=[ServiceUserContact], config=StrawberryConfig(scalar_map=SCALARS)
    )
    # Strawberry has no parameter for it, and does not print it either.
    made._schema.description = DESCRIPTION
    return made


def schema_definition() -> str:
    """Return the schema in the schema definition language."""
    made = make_schema()
    return f"{print_schema_definition(made._schema)}\n\n{made.as_str()}"

"""The API as one schema: the root types over the words of `schema`."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from resolvers.mutations import Mutation
from resolvers.queries import Query
from schema.scalars import SCALARS
from schema.types import ServiceUserContact


def make_schema() -> strawberry.Schema:
    # Types that only an interface leads to have to be named.
    return strawberry.Schema(
        query=Query, mutation=Mutation, types=[ServiceUserContact], config=StrawberryConfig(scalar_map=SCALARS)
    )

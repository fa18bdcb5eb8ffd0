"""Pushes: the root field whose events come as they are committed."""

from collections.abc import AsyncIterator
from typing import Annotated, cast

import strawberry
from strawberry import UNSET

from resolvers.queries import require_permission
from schema.context import Info
from schema.events import HomeVisitEventEdge
from schema.inputs import HomeVisitEventFilter, argument, event_filter_of, unset_to_none

Filter = Annotated[HomeVisitEventFilter | None, argument("Which changes. Null or absent: all that the caller may see.")]
After = Annotated[str | None, argument("The cursor after which to begin. Null or absent: now.")]


@strawberry.type(description="Pushes, over graphql-transport-ws.")
class Subscription:
    @strawberry.subscription(
        description="Each change of a home visit that meets `filter`, as it is committed. With `after`, the missed ones come "
        "first: none is lost, none comes twice."
    )
    async def home_visit_changed(
        self, info: Info, filter: Filter = UNSET, after: After = UNSET
    ) -> AsyncIterator[HomeVisitEventEdge]:
        require_permission(info)
        changes = await info.context.follow(event_filter_of(filter), unset_to_none(after))
        return cast("AsyncIterator[HomeVisitEventEdge]", changes)

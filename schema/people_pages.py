"""Pages of care enquiries, locations, users and contacts, as clients read them."""

from typing import Any, cast

import strawberry

from schema.execution.hints import Awaited, Derived, hinted
from schema.types import CareEnquiry, Location, PageInfo, ServiceUserContact, User
from storage.queries.paging import cursors

Parent = strawberry.Parent[Any]


def _plain(description: str) -> Any:
    return strawberry.field(description=description)


def _cursor(description: str) -> Any:
    hint = Derived(lambda edges, _context: cursors(edges))
    return strawberry.field(description=description, metadata=hinted(hint))


async def _count(root: Parent) -> int:
    return cast("int", await root.total_count())


def _total_count(description: str) -> Any:
    return strawberry.field(resolver=_count, description=description, metadata=hinted(Awaited(_count, "counted")))


_NODES = "The nodes of `edges`, for clients that need no cursors."
_PAGE_INFO = "Where the page stands in the list."
_OPAQUE = "Opaque; valid only with the `orderBy` it came from."
_COUNTED = "meet `filter`, over all pages. Counted only when selected."


@strawberry.type(description="One care enquiry in a page.")
class CareEnquiryEdge:
    node: CareEnquiry = _plain("The care enquiry.")
    cursor: str = _cursor(_OPAQUE)


@strawberry.type(description="A page of care enquiries.")
class CareEnquiryConnection:
    edges: list[CareEnquiryEdge] = _plain("The care enquiries of the page with their cursors.")
    nodes: list[CareEnquiry] = _plain(_NODES)
    page_info: PageInfo = _plain(_PAGE_INFO)
    total_count: int = _total_count(f"How many care enquiries {_COUNTED}")


@strawberry.type(description="One location in a page.")
class LocationEdge:
    node: Location = _plain("The location.")
    cursor: str = _cursor(_OPAQUE)


@strawberry.type(description="A page of locations.")
class LocationConnection:
    edges: list[LocationEdge] = _plain("The locations of the page with their cursors.")
    nodes: list[Location] = _plain(_NODES)
    page_info: PageInfo = _plain(_PAGE_INFO)
    total_count: int = _total_count(f"How many locations {_COUNTED}")


@strawberry.type(description="One user in a page.")
class UserEdge:
    node: User = _plain("The user.")
    cursor: str = _cursor(_OPAQUE)


@strawberry.type(description="A page of users.")
class UserConnection:
    edges: list[UserEdge] = _plain("The users of the page with their cursors.")
    nodes: list[User] = _plain(_NODES)
    page_info: PageInfo = _plain(_PAGE_INFO)
    total_count: int = _total_count(f"How many users {_COUNTED}")


@strawberry.type(description="One contact in a page.")
class ServiceUserContactEdge:
    node: ServiceUserContact = _plain("The contact.")
    cursor: str = _cursor("Opaque; valid only in the list it came from.")


@strawberry.type(description="A page of contacts.")
class ServiceUserContactConnection:
    edges: list[ServiceUserContactEdge] = _plain("The contacts of the page with their cursors.")
    nodes: list[ServiceUserContact] = _plain(_NODES)
    page_info: PageInfo = _plain(_PAGE_INFO)
    total_count: int = _total_count("How many contacts there are, over all pages. Counted only when selected.")

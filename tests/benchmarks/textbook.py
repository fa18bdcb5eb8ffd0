"""The peer: the server that Strawberry's and SQLModel's tutorials lead to, over the same database.

Usage: textbook.py DATABASE PORT
"""

import base64
import enum
import sys
from datetime import UTC, datetime
from typing import Any

import strawberry
from aiohttp import web
from sqlalchemy import tuple_
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from strawberry.aiohttp.views import GraphQLView

from storage.models import VisitHost, VisitType

HomeVisitStatus = strawberry.enum(enum.Enum("HomeVisitStatus", "PENDING CANCELLED COMPLETED"))
HomeVisitOrderField = strawberry.enum(enum.Enum("HomeVisitOrderField", "DATE_TIME"))
strawberry.enum(VisitHost)
strawberry.enum(VisitType)


class Visit(SQLModel, table=True):
    __tablename__ = "home_visits"
    __table_args__ = {"extend_existing": True}

    id: str = Field(primary_key=True)
    care_enquiry: str
    location: str
    date_time: str
    visit_type: str
    host: str
    notes: str
    cancelled: str | None
    completed: str | None


@strawberry.type
class Reference:
    id: strawberry.ID


@strawberry.type
class HomeVisit:
    id: strawberry.ID
    date_time: datetime
    visit_type: VisitType
    host: VisitHost
    notes: str
    care_enquiry: Reference
    location: Reference

    @classmethod
    def of(cls, row: Visit) -> "HomeVisit":
        return cls(
            id=strawberry.ID(row.id),
            date_time=datetime.fromisoformat(row.date_time).replace(tzinfo=UTC),
            visit_type=VisitType(row.visit_type),
            host=VisitHost(row.host),
            notes=row.notes,
            care_enquiry=Reference(id=strawberry.ID(row.care_enquiry)),
            location=Reference(id=strawberry.ID(row.location)),
        )


@strawberry.type
class HomeVisitEdge:
    node: HomeVisit
    cursor: str


@strawberry.type
class PageInfo:
    has_next_page: bool


@strawberry.type
class HomeVisitConnection:
    edges: list[HomeVisitEdge]
    page_info: PageInfo


@strawberry.input
class HomeVisitFilter:
    location: list[strawberry.ID] | None = None
    status: list[HomeVisitStatus] | None = None  # type: ignore[valid-type]  # made by a call


@strawberry.input
class HomeVisitOrder:
    field: HomeVisitOrderField  # type: ignore[valid-type]  # made by a call


def session() -> AsyncSession:
    return AsyncSession(ENGINE)


@strawberry.type
class Query:
    @strawberry.field
    async def home_visits(
        self,
        filter: HomeVisitFilter | None = None,
        order_by: list[HomeVisitOrder] | None = None,  # noqa: ARG002 - by time is the only order it knows
        first: int = 10,
        after: str | None = None,
    ) -> HomeVisitConnection:
        query = select(Visit).order_by(col(Visit.date_time), col(Visit.id)).limit(first + 1)
        if filter and filter.location:
            query = query.where(col(Visit.location).in_(filter.location))
        if filter and filter.status:
            query = query.where(col(Visit.cancelled).is_(None), col(Visit.completed).is_(None))
        if after:
            query = query.where(tuple_(col(Visit.date_time), col(Visit.id)) > tuple(base64.b64decode(after).decode().split("|")))
        async with session() as opened:
            rows = (await opened.exec(query)).all()
        edges = [
            HomeVisitEdge(node=HomeVisit.of(row), cursor=base64.b64encode(f"{row.date_time}|{row.id}".encode()).decode())
            for row in rows[:first]
        ]
        return HomeVisitConnection(edges=edges, page_info=PageInfo(has_next_page=len(rows) > first))

    @strawberry.field
    async def home_visit(self, id: strawberry.ID) -> HomeVisit | None:
        async with session() as opened:
            row: Any = (await opened.exec(select(Visit).where(Visit.id == id))).one_or_none()
        return HomeVisit.of(row) if row else None


if __name__ == "__main__":
    database, port = sys.argv[1:]
    ENGINE = create_async_engine(f"sqlite+aiosqlite:///{database}")
    app = web.Application()
    app.router.add_route("*", "/graphql", GraphQLView(schema=strawberry.Schema(Query)))
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)

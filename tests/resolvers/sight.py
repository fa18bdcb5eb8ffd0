"""Who may see what, said once more: an independent model over plain values, to hold the answers of the API against."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from sqlmodel import Session

from storage.models import CareEnquiry, HomeVisit, Location, ServiceUserContact, User, VisitHost, VisitType
from tests.databases import engine_at
from tests.people import with_folded

START = datetime(2024, 11, 4, 9, tzinfo=UTC)
LOCATIONS = [f"{n:024x}" for n in range(0x10, 0x13)]
USERS = [f"{n:024x}" for n in range(0x20, 0x23)]
ENQUIRIES = [f"{n:024x}" for n in range(0x30, 0x34)]
CONTACTS = [f"{n:024x}" for n in range(0x40, 0x43)]
VISITS = [f"{n:024x}" for n in range(0x50, 0x58)]
NOBODY = f"{0xFF:024x}"

FRAGMENTS = """
fragment Page on HomeVisitConnection { totalCount nodes { id } }
fragment OfLocation on Location { id name homeVisits(first: 100) { ...Page } }
fragment OfUser on User { id firstName locations { id } homeVisits(first: 100) { ...Page } }
fragment OfEnquiry on CareEnquiry {
  id careSeeker { firstName } assignedTo { ...OfUser } location { ...OfLocation } homeVisits(first: 100) { ...Page }
  serviceUserContacts { totalCount nodes { id firstName } }
}
fragment OfContact on ServiceUserContact { id firstName careEnquiry { ...OfEnquiry } }
fragment OfVisit on HomeVisit {
  id location { ...OfLocation } assignedTo { ...OfUser } careEnquiry { ...OfEnquiry } serviceUserContact { ...OfContact }
}
"""
BY_ID = f"""
query ($id: ID!) {{
  homeVisit(id: $id) {{ ...OfVisit }}
  careEnquiry(id: $id) {{ ...OfEnquiry }}
  location(id: $id) {{ ...OfLocation }}
  user(id: $id) {{ ...OfUser }}
  node(id: $id) {{ id ... on ServiceUserContact {{ ...OfContact }} }}
}}
{FRAGMENTS}"""
LISTED = f"""
query ($filter: HomeVisitFilter) {{
  homeVisits(filter: $filter, first: 100) {{ totalCount nodes {{ ...OfVisit }} }}
  viewer {{ locations {{ ...OfLocation }} }}
}}
{FRAGMENTS}"""

PEOPLE = f"""
query ($ids: [ID!], $locations: [ID!], $order: OrderDirection!) {{
  careEnquiries(filter: {{ ids: $ids, location: $locations }}, orderBy: [{{ field: NAME, direction: $order }}], first: 100) {{
    totalCount nodes {{ ...OfEnquiry }}
  }}
  locations(filter: {{ ids: $ids }}, orderBy: [{{ field: ID, direction: $order }}], first: 100) {{
    totalCount nodes {{ ...OfLocation }}
  }}
  users(filter: {{ ids: $ids, location: $locations, suspended: null }}, orderBy: [{{ field: NAME, direction: $order }}]) {{
    totalCount nodes {{ ...OfUser }}
  }}
}}
{FRAGMENTS.replace(FRAGMENTS[FRAGMENTS.index("fragment OfContact") :], "")}"""


@dataclass
class Sight:
    """A small world, and the locations of a caller (None: all)."""

    scope: frozenset[str] | None
    enquiries: dict[str, CareEnquiry]
    contacts: dict[str, ServiceUserContact]
    users: dict[str, User]
    visits: list[HomeVisit] = field(default_factory=list)

    def keep(self, path: Path) -> None:
        """Put this world into an empty database."""
        engine = engine_at(path)
        with Session(engine, expire_on_commit=False) as session:
            session.add_all(with_folded(Location(id=id, name=id)) for id in LOCATIONS)
            session.add_all(map(with_folded, self.users.values()))
            enquiries, contacts = map(with_folded, self.enquiries.values()), map(with_folded, self.contacts.values())
            for records in (enquiries, contacts, self.visits):
                session.flush()
                session.add_all(records)
            session.commit()
        engine.dispose()

    # What is in sight.

    def has(self, location: str | None) -> bool:
        return self.scope is None or location in self.scope

    @property
    def seen(self) -> list[HomeVisit]:
        return [visit for visit in self.visits if self.has(visit.location)]

    def sees_enquiry(self, id: str | None) -> bool:
        return id in self.enquiries and (
            self.has(self.enquiries[id].location) or any(one.care_enquiry == id for one in self.seen)
        )

    def sees_user(self, id: str | None) -> bool:
        if id not in self.users:
            return False
        return (
            self.scope is None
            or any(self.has(location) for location in self.users[id].locations or ())
            or any(one.assigned_to == id for one in self.seen)
            or any(one.assigned_to == id and self.sees_enquiry(enquiry) for enquiry, one in self.enquiries.items())
        )

    def sees_contact(self, id: str) -> bool:
        if id not in self.contacts:
            return False
        enquiry = self.enquiries.get(self.contacts[id].care_enquiry or "")
        return (
            self.scope is None
            or (enquiry is not None and self.has(enquiry.location))
            or any(visit.service_user_contact == id for visit in self.seen)
        )

    # What is answered of it, in the shape of the fragments.

    def page(self, **referring: str) -> dict[str, Any]:
        (column, id), *_ = referring.items()
        found = [visit for visit in self.seen if getattr(visit, column) == id]
        by_time = sorted(found, key=lambda visit: (visit.date_time, visit.id))
        return {"totalCount": len(found), "nodes": [{"id": visit.id} for visit in by_time]}

    def of_location(self, id: str) -> dict[str, Any]:
        return {"id": id, "name": id, "homeVisits": self.page(location=id)}

    def of_user(self, id: str) -> dict[str, Any]:
        locations = self.users[id].locations
        works = None if locations is None else [{"id": one} for one in locations if one in LOCATIONS and self.has(one)]
        return {"id": id, "firstName": id, "locations": works, "homeVisits": self.page(assigned_to=id)}

    def of_enquiry(self, id: str) -> dict[str, Any]:
        enquiry = self.enquiries[id]
        user, location = enquiry.assigned_to, enquiry.location
        return {
            "id": id,
            "careSeeker": {"firstName": id},
            "assignedTo": self.of_user(user) if user and self.sees_user(user) else None,
            "location": self.of_location(location) if location and self.has(location) else None,
            "homeVisits": self.page(care_enquiry=id),
            "serviceUserContacts": self.contacts_of(id),
        }

    def contacts_of(self, enquiry: str) -> dict[str, Any]:
        ids = [id for id, contact in sorted(self.contacts.items()) if contact.care_enquiry == enquiry and self.sees_contact(id)]
        return {"totalCount": len(ids), "nodes": [{"id": id, "firstName": id} for id in ids]}

    def of_contact(self, id: str) -> dict[str, Any]:
        enquiry = self.contacts[id].care_enquiry
        seen = enquiry if enquiry and self.sees_enquiry(enquiry) else None
        return {"id": id, "firstName": id, "careEnquiry": self.of_enquiry(seen) if seen else None}

    def of_visit(self, visit: HomeVisit) -> dict[str, Any]:
        """A visit in sight shows what it refers to, whatever it is."""
        return {
            "id": visit.id,
            "location": self.of_location(visit.location),
            "assignedTo": self.of_user(visit.assigned_to) if visit.assigned_to else None,
            "careEnquiry": self.of_enquiry(visit.care_enquiry),
            "serviceUserContact": self.of_contact(visit.service_user_contact) if visit.service_user_contact else None,
        }

    def by_id(self, id: str) -> dict[str, Any]:
        visit = next((one for one in self.seen if one.id == id), None)
        found = {
            "homeVisit": self.of_visit(visit) if visit else None,
            "careEnquiry": self.of_enquiry(id) if self.sees_enquiry(id) else None,
            "location": self.of_location(id) if id in LOCATIONS and self.has(id) else None,
            "user": self.of_user(id) if self.sees_user(id) else None,
        }
        contact = self.of_contact(id) if self.sees_contact(id) else None
        node = contact or ({"id": id} if any(found.values()) else None)
        return found | {"node": node}

    def people(self, ids: list[str] | None, locations: list[str] | None, order: str) -> dict[str, Any]:
        """Answer the lists of people, of which those in sight are shown; a condition on a place out of sight finds nobody."""
        within = None if locations is None else {location for location in locations if self.has(location)}
        asked = {
            "careEnquiries": [
                self.of_enquiry(id)
                for id, enquiry in self.enquiries.items()
                if self.sees_enquiry(id) and (within is None or enquiry.location in within)
            ],
            "locations": [self.of_location(id) for id in LOCATIONS if self.has(id)],
            "users": [
                self.of_user(id)
                for id, user in self.users.items()
                if self.sees_user(id) and (within is None or within & set(user.locations or ()))
            ],
        }
        return {
            name: _listed([node for node in nodes if ids is None or node["id"] in ids], order) for name, nodes in asked.items()
        }

    def listed(self, locations: Iterable[str] | None) -> dict[str, Any]:
        """Answer a list of the visits at the locations `wanted` (None: no condition)."""
        found = [one for one in self.seen if locations is None or one.location in locations]
        nodes = [self.of_visit(visit) for visit in sorted(found, key=lambda visit: visit.id)]
        locations = None if self.scope is None else [self.of_location(id) for id in sorted(self.scope) if id in LOCATIONS]
        return {"homeVisits": {"totalCount": len(found), "nodes": nodes}, "viewer": {"locations": locations}}


def _listed(nodes: list[dict[str, Any]], order: str) -> dict[str, Any]:
    return {"totalCount": len(nodes), "nodes": sorted(nodes, key=lambda node: str(node["id"]), reverse=order == "DESC")}


def sights() -> st.SearchStrategy[Sight]:
    return st.composite(_drawn)()


def _drawn(draw: Any) -> Sight:
    location, user = st.sampled_from(LOCATIONS), st.sampled_from([None, *USERS])
    enquiries = {
        id: CareEnquiry(id=id, first_name=id, location=draw(location | st.none()), assigned_to=draw(user)) for id in ENQUIRIES
    }
    contacts = {
        id: ServiceUserContact(id=id, first_name=id, care_enquiry=draw(st.sampled_from([None, *ENQUIRIES]))) for id in CONTACTS
    }
    scope = draw(st.none() | st.frozensets(st.sampled_from([*LOCATIONS, NOBODY])))
    visits = [_visit(draw, n, draw(location), draw(user)) for n in range(draw(st.integers(0, len(VISITS))))]
    works = st.none() | st.lists(st.sampled_from([*LOCATIONS, NOBODY]), max_size=2, unique=True)
    users = {id: User(id=id, first_name=id, locations=draw(works)) for id in USERS}
    return Sight(scope, enquiries, contacts, users, visits)


def _visit(draw: Any, n: int, location: str, user: str | None) -> HomeVisit:
    ended = draw(st.sampled_from([None, None, "cancelled", "completed"]))
    return HomeVisit(
        id=VISITS[n],
        location=location,
        assigned_to=user,
        care_enquiry=draw(st.sampled_from(ENQUIRIES)),
        service_user_contact=draw(st.sampled_from([None, *CONTACTS])),
        date_time=START + timedelta(hours=draw(st.integers(0, 2))),
        visit_type=VisitType.IN_PERSON,
        host=VisitHost.OTHER,
        created=START,
        modified=START,
        **({ended: START} if ended else {}),
    )

"""What is stored here of visits that the account has just shown: whether it is newer, and of whom."""

from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from storage.events.appending import EVENTS
from storage.models import HomeVisit, ServiceUserContact


def changed_since(session: Session, request_times: Mapping[str, datetime]) -> dict[str, datetime]:
    """Return those visits that were changed here since the account was asked for them, by its answer to a change, and when.

    What it showed before may be older, within the same whole second.
    """
    if not request_times:
        return {}
    latest = sa.select(EVENTS.c.home_visit, sa.func.max(EVENTS.c.at)).where(
        EVENTS.c.home_visit.in_(request_times), EVENTS.c.at >= min(request_times.values())
    )
    found = session.connection().execute(latest.group_by(EVENTS.c.home_visit))
    return {id: at for id, at in found if at >= request_times[id]}


def people_to_wipe(session: Session, visits: Collection[str]) -> dict[str, set[str]]:
    """Return the people of those visits that are not anonymized here yet, by the names of their kinds."""
    query = select(HomeVisit.care_enquiry, HomeVisit.service_user_contact).where(
        col(HomeVisit.id).in_(visits), col(HomeVisit.anonymized).is_(None)
    )
    named = session.exec(query).all()
    enquiries = {enquiry for enquiry, _ in named}
    of_enquiries = select(ServiceUserContact.id).where(col(ServiceUserContact.care_enquiry).in_(enquiries))
    contacts = {contact for _, contact in named if contact is not None} | set(session.exec(of_enquiries))
    return {"care_enquiries": enquiries, "service_user_contacts": contacts}

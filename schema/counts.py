"""What clients read of counts: how many visits are alike."""

from datetime import date

import strawberry

from schema.enums import HomeVisitStatus, VisitHost, VisitType
from schema.types import Location, User, plain, reference, source
from storage import counting


@strawberry.type(description="How many visits are alike in what they were grouped by; the other fields are null.")
class HomeVisitCount:
    is_type_of = source(counting.HomeVisitCount)

    count: int = plain("How many visits there are in the group.")
    status: HomeVisitStatus | None = plain("Where the visits are in their life.")
    day: date | None = plain("The day of the visits, in the time zone asked for.")
    location: Location | None = reference("location", "location", Location | None, "The location visited.")
    host: VisitHost | None = plain("The host, by role at the location.")
    assigned_to: User | None = reference(
        "user", "assigned_to", User | None, "The user that the visits are assigned to. Null as well where nobody is."
    )
    visit_type: VisitType | None = plain("Whether the visitors come in person or by video call.")

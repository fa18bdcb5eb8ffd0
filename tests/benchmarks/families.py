"""Documents for benchmarks: visits of families to homes over ten years, with notes like those that people write."""

import json
import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

USERS, LOCATIONS, VISITS_OF_AN_ENQUIRY = 200, 300, 3
HOSTS = [
    "manager",
    "deputy_manager",
    "administrator",
    "receptionist",
    "senior_carer",
    "carer",
    "customer_relations_adviser",
    "nurse",
    "other",
]
FATES = {"pending": 20, "cancelled": 20, "completed": 60}
# The first words are the most frequent; "with" stands in every tenth visit, "physiotherapy" in one of fifty.
WORDS = [
    "to",
    "the",
    "and",
    "for",
    "asked",
    "about",
    "with",
    "care",
    "mornings",
    "prefers",
    "daughter",
    "son",
    "fees",
    "respite",
    "view",
    "garden",
    "room",
    "please",
    "ring",
    "before",
    "arriving",
    "lift",
    "parking",
    "wheelchair",
    "access",
    "needed",
    "lunch",
    "menu",
    "vegetarian",
    "diet",
    "hearing",
    "aid",
    "husband",
    "wants",
    "bathroom",
    "brochure",
    "sent",
    "second",
    "call",
    "back",
    "dementia",
    "unit",
    "station",
    "drive",
    "physiotherapy",
]
SYLLABLES = [
    "an",
    "bel",
    "cor",
    "dun",
    "els",
    "fen",
    "gar",
    "hol",
    "ing",
    "jas",
    "kel",
    "lor",
    "mer",
    "nor",
    "old",
    "per",
    "quin",
    "ros",
    "sut",
    "tam",
    "ull",
    "ver",
    "wex",
    "yor",
]
RARE, RARE_VISITS = "wurlitzer", 5


def identifier(kind: str, number: int) -> str:
    return f"{kind * 8}{number:016x}"


def make(folder: Path, count: int) -> list[Path]:
    """Write files to import, the same ones every time: `count` visits and all that they refer to."""
    enquiries = count // VISITS_OF_AN_ENQUIRY + 1
    return [
        _write(folder / "users.json", ({"_id": identifier("a", number), "first_name": "User"} for number in range(USERS))),
        _write(folder / "locations.json", ({"_id": identifier("b", number), "name": "Home"} for number in range(LOCATIONS))),
        _write(folder / "care_enquiries.json", map(_enquiry, range(enquiries))),
        _write(folder / "service_user_contacts.json", map(_contact, range(0, enquiries, 2))),
        _write(folder / "home_visits.json", _visits(count)),
    ]


def _write(path: Path, documents: Iterable[dict[str, Any]]) -> Path:
    with path.open("w") as out:
        out.writelines(json.dumps(document) + "\n" for document in documents)
    return path


def _enquiry(number: int) -> dict[str, Any]:
    references = {"assigned_to": identifier("a", number % USERS), "location": identifier("b", number % LOCATIONS)}
    return {"_id": identifier("c", number), "first_name": "Seeker", "email": f"seeker{number}@family.example", **references}


def _contact(number: int) -> dict[str, Any]:
    return {"_id": identifier("d", number), "first_name": "Contact", "care_enquiry": identifier("c", number)}


def _visits(count: int) -> Iterator[dict[str, Any]]:
    pick = random.Random(1)  # noqa: S311 - the same ones every time
    frequency = [1 / (rank + 2) for rank in range(len(WORDS))]
    for number in range(count):
        enquiry = number // VISITS_OF_AN_ENQUIRY
        created = datetime.fromisoformat("2016-01-01") + timedelta(minutes=pick.randrange(10 * 365 * 24 * 60))
        at = created.replace(minute=created.minute // 15 * 15) + timedelta(days=pick.randrange(1, 20))
        (fate,) = pick.choices(list(FATES), FATES.values())
        ended = None if fate == "pending" else str(at + timedelta(hours=1))
        anonymized = str(at + timedelta(days=900)) if ended and pick.random() < 0.05 else None
        words = [] if anonymized or pick.random() < 0.3 else pick.choices(WORDS, frequency, k=pick.randrange(3, 18))
        if words and pick.random() < 0.6:
            words.append("".join(pick.choices(SYLLABLES, k=4)).title())
        if number % (count // RARE_VISITS) == 7:
            words.append(RARE)
        yield {
            "_id": identifier("6", number),
            "anonymized": anonymized,
            "assigned_to": identifier("a", enquiry % USERS) if enquiry % 8 else None,
            "cancelled": ended if fate == "cancelled" else None,
            "care_enquiry": identifier("c", enquiry),
            "completed": ended if fate == "completed" else None,
            "created": str(created),
            "date_time": str(at),
            "host": pick.choice(HOSTS),
            "location": identifier("b", enquiry % LOCATIONS),
            "modified": anonymized or ended or str(created + timedelta(minutes=number % 50)),
            "notes": " ".join(words),
            "service_user_contact": None if enquiry % 2 or number % 3 else identifier("d", enquiry),
            "visit_type": "virtual" if pick.random() < 0.2 else "in_person",
        }

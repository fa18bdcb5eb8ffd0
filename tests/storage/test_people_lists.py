"""Lists of people and locations, page by page in both directions, held against a model of who is listed and in which order."""

import base64
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from storage.caller import Caller
from storage.database import Database
from storage.errors import InvalidPage
from storage.models import CareEnquiry, HomeVisit, Location, ServiceUserContact, User, VisitHost, VisitType
from storage.names import plain
from storage.people import People
from storage.queries.paging import Page, Window
from storage.queries.people_filters import PeopleFilter
from storage.queries.references import Kind
from tests.databases import path_of
from tests.inspection import inspect
from tests.people import with_folded
from tests.storage.homes import EVERYTHING, NOW, keep, limited_to

OURS, THEIRS, ALSO_OURS = (f"{n:024x}" for n in (0xA1, 0xA2, 0xA3))
ADA, BEN = f"{0xB1:024x}", f"{0xB2:024x}"
NAMES: list[tuple[str | None, str | None]] = [
    ("Zoë", "Okafor"), ("zoe", "OKAFOR"), ("Ngozi", "Okafor"), ("Ann", "O'Neill"), ("Ann", "O\u2019Neill"),
    ("Émile", None), (None, "Zola"), ("Zed", "Lee"), ("Ada", "Lee Ann"), ("Å", "Ångström"), ("B", "angstrom"), ("花子", "山田"),
    ("İnci", "Şahin"), ("x|y", "a,b"), ("\U0001f600", "\U0001f600"), (None, None), (None, None), ("", " "),
]  # fmt: skip
ENQUIRIES = [
    CareEnquiry(
        id=f"{0xC00 + (7 * number) % 19:024x}",
        first_name=first,
        last_name=last,
        email=f"person{number}@family.example" if number % 3 else None,
        phone=[None, f"+44 7700 90{number:04}", f"07700 91{number:04}"][number % 3],
        location=[OURS, THEIRS, None, ALSO_OURS][number % 4],
        assigned_to=[ADA, BEN, None][number % 3],
    )
    for number, (first, last) in enumerate(NAMES)
]
ENQUIRIES.append(CareEnquiry(id=f"{0xCFF:024x}", last_name="Okafor", location=OURS, anonymized=NOW))
USERS = [
    User(id=ADA, first_name="Ada", last_name="Ash", email="ada@homes.example", locations=[OURS], location_role=VisitHost.NURSE),
    User(id=BEN, first_name="Ben", last_name="Ash", locations=[THEIRS, OURS], suspended=True, location_role=VisitHost.CARER),
    User(id=f"{0xB3:024x}", first_name="Cy", locations=[THEIRS], location_role=VisitHost.NURSE),
    User(id=f"{0xB4:024x}", last_name="Dee", locations=[]),
    User(id=f"{0xB5:024x}"),
]
LOCATIONS = [
    Location(id=OURS, name="Corbière Grange", phone="01632 960001"),
    Location(id=THEIRS, name="Abbey", email="abbey@homes.example"),
    Location(id=ALSO_OURS),
]
CONTACTS = [
    ServiceUserContact(id=f"{0xD00 + number:024x}", first_name=f"C{number}", care_enquiry=ENQUIRIES[number % 3].id)
    for number in range(7)
]


def visit(number: int, enquiry: CareEnquiry, **values: Any) -> HomeVisit:
    kinds = {"visit_type": VisitType.VIRTUAL, "host": VisitHost.OTHER}
    times = {"date_time": NOW, "created": NOW, "modified": NOW}
    return HomeVisit(id=f"{0xE00 + number:024x}", care_enquiry=enquiry.id, **kinds, **times, **values)


# Enquiries of other places that a visit shows at ours, a user who is assigned to one, and a contact.
VISITS = [
    visit(0, ENQUIRIES[1], location=OURS, assigned_to=USERS[2].id),
    visit(1, ENQUIRIES[2], location=OURS, service_user_contact=CONTACTS[2].id),
    visit(2, ENQUIRIES[0], location=THEIRS, assigned_to=USERS[3].id),
    visit(3, ENQUIRIES[1], location=OURS),
    visit(4, ENQUIRIES[3], location=OURS),
]
RECORDS: dict[Kind, list[Any]] = {"care_enquiry": ENQUIRIES, "user": USERS, "location": LOCATIONS}
CALLERS = {
    "everything": EVERYTHING,
    "ours": limited_to(OURS),
    "both": limited_to(OURS, ALSO_OURS),
    "theirs": limited_to(THEIRS, "f" * 24),
    "nothing": limited_to(),
}


@pytest.fixture
async def database(database: Database) -> Database:
    """The database of two homes with all of the above in place of its own."""
    for table in ("service_user_contacts", "care_enquiries", "users", "locations"):
        inspect(path_of(database)).execute(f"DELETE FROM {table}")  # noqa: S608 - the test's own
    for records in (LOCATIONS, USERS, ENQUIRIES, CONTACTS):
        await keep(database, *[with_folded(type(record)(**record.model_dump())) for record in records])
    await keep(database, *[HomeVisit(**one.model_dump()) for one in VISITS])
    return database


def sees(caller: Caller, kind: Kind, record: Any) -> bool:
    """Say once more who is in sight by ID alone."""
    scope = caller.locations
    if scope is None:
        return True
    seen = [one for one in VISITS if one.location in scope]
    if kind == "location":
        return record.id in scope
    if kind == "care_enquiry":
        return record.location in scope or any(one.care_enquiry == record.id for one in seen)
    enquiries = [one for one in ENQUIRIES if sees(caller, "care_enquiry", one)]
    return bool(set(record.locations or ()) & scope) or any(one.assigned_to == record.id for one in [*seen, *enquiries])


def name_of(record: Any) -> tuple[str, str]:
    if isinstance(record, Location):
        return plain(record.name or ""), ""
    return plain(record.last_name or ""), plain(record.first_name or "")


def found(text: str) -> Callable[[Any], bool]:
    def is_found(record: Any) -> bool:
        if getattr(record, "anonymized", None):
            return False
        last, first = name_of(record)
        names = [f"{first} {last}".strip(), f"{last} {first}".strip()]
        return any(plain(text) in part for part in (*names, plain(record.email or "")))

    return is_found


def begun(text: str) -> Callable[[Any], bool]:
    return lambda record: any(
        word.startswith(text)
        for word in (*" ".join(name_of(record)).split(), plain(record.email or ""))
        if not is_anonymized(record)
    )


def is_anonymized(record: Any) -> bool:
    return getattr(record, "anonymized", None) is not None


def within(caller: Caller, *locations: str) -> set[str]:
    return {location for location in locations if caller.locations is None or location in caller.locations}


Condition = Callable[[Caller, Any], bool]
SOME = [ENQUIRIES[1].id, ENQUIRIES[4].id]


def everybody(_caller: Caller, _record: Any) -> bool:
    return True


def nobody(_caller: Caller, _record: Any) -> bool:
    return False


def assigned_at_ours(caller: Caller, record: Any) -> bool:
    return record.assigned_to is not None and record.location in within(caller, OURS, ALSO_OURS)


def numbered_at_ours(caller: Caller, record: Any) -> bool:
    return (record.phone or "").startswith("07700 91") and record.location in within(caller, OURS, ALSO_OURS)


FILTERS: list[tuple[Kind, PeopleFilter, Condition]] = [
    ("care_enquiry", {}, everybody),
    ("care_enquiry", {"ids": [*SOME, "f" * 24, "%"]}, lambda _, one: one.id in SOME),
    ("care_enquiry", {"ids": []}, nobody),
    ("care_enquiry", {"location": [THEIRS]}, lambda caller, one: one.location in within(caller, THEIRS)),
    ("care_enquiry", {"location": [OURS, THEIRS]}, lambda caller, one: one.location in within(caller, OURS, THEIRS)),
    ("care_enquiry", {"assigned_to": [ADA]}, lambda _, one: one.assigned_to == ADA),
    ("care_enquiry", {"assigned_to": [ADA, BEN], "location": [OURS, ALSO_OURS]}, assigned_at_ours),
    ("care_enquiry", {"anonymized": True}, lambda _, one: one.anonymized is not None),
    ("care_enquiry", {"anonymized": False, "search": "okafor"}, lambda _, one: one.anonymized is None and found("okafor")(one)),
    ("care_enquiry", {"search": "Okafor, Zoe"}, lambda _, one: found("okafor zoe")(one)),
    ("care_enquiry", {"search": "zoë okafor"}, lambda _, one: found("zoe okafor")(one)),
    ("care_enquiry", {"search": "kaf"}, lambda _, one: found("kaf")(one)),
    ("care_enquiry", {"search": "n's%"}, nobody),
    ("care_enquiry", {"search": "son1"}, lambda _, one: found("son1")(one)),
    ("care_enquiry", {"search": "z"}, lambda _, one: begun("z")(one)),
    ("care_enquiry", {"search": "pe"}, lambda _, one: begun("pe")(one)),
    ("care_enquiry", {"search": "山田"}, lambda _, one: one.last_name == "山田"),
    ("care_enquiry", {"search": "07700 900"}, lambda _, one: (one.phone or "").startswith("+44 7700 900")),
    ("care_enquiry", {"search": "+44 7700 91", "location": [ALSO_OURS, OURS]}, numbered_at_ours),
    ("care_enquiry", {"search": "  "}, everybody),
    ("user", {}, everybody),
    ("user", {"suspended": False}, lambda _, one: not one.suspended),
    ("user", {"suspended": True}, lambda _, one: one.suspended),
    ("user", {"location": [THEIRS]}, lambda caller, one: bool(within(caller, THEIRS) & set(one.locations or ()))),
    ("user", {"role": ["NURSE"]}, lambda _, one: one.location_role == "NURSE"),
    ("user", {"role": ["NURSE", "CARER"], "search": "ash"}, lambda _, one: one.last_name == "Ash"),
    ("user", {"ids": [ADA, BEN]}, lambda _, one: one.id in (ADA, BEN)),
    ("location", {}, everybody),
    ("location", {"search": "corbiere g"}, lambda _, one: one.id == OURS),
    ("location", {"search": "0163"}, lambda _, one: one.id == OURS),
    ("location", {"ids": [THEIRS]}, lambda _, one: one.id == THEIRS),
]  # fmt: skip
ORDERS = [(("name_folded", False),), (("name_folded", True),), (("id", True),), (("name_folded", False), ("id", True))]


def expected(caller: Caller, kind: Kind, condition: Condition, order: tuple[tuple[str, bool], ...]) -> list[str]:
    listed = [one for one in RECORDS[kind] if sees(caller, kind, one) and condition(caller, one)]
    listed.sort(key=lambda one: one.id, reverse=order[-1] == ("id", True))
    if order[0][0] == "name_folded":
        # Reversing keeps the order of equals.
        listed.sort(key=lambda one: (name_of(one) == ("", ""), name_of(one)), reverse=order[0][1])
    return [one.id for one in listed]


async def walk(people: People, kind: Kind, filter: PeopleFilter, order: Any, *, backward: bool) -> list[str]:
    walked: list[str] = []
    cursor: str | None = None
    for _ in range(20):
        window = Window(3, backward, None if backward else cursor, cursor if backward else None)
        page: Page[Any] = await people.page(kind, filter, order, window)
        ids = [node.id for node in page.nodes]
        walked = ids + walked if backward else walked + ids
        assert (page.has_next_page if backward else page.has_previous_page) is (cursor is not None)
        if not (page.has_previous_page if backward else page.has_next_page):
            return walked
        cursor = page.start_cursor if backward else page.end_cursor
    raise AssertionError("the list does not end")


@pytest.mark.parametrize("name", CALLERS)
async def test_whoever_is_in_sight_and_meets_the_filter_is_listed_once_and_in_order(database: Database, name: str) -> None:
    caller = CALLERS[name]
    people = People(database, caller, "Europe/London")

    for (kind, filter, condition), order in product(FILTERS, ORDERS):
        forward = await walk(people, kind, filter, order, backward=False)
        backward = await walk(people, kind, filter, order, backward=True)
        total = await (await people.page(kind, filter, order, Window(0, False, None, None))).total_count()

        listed = expected(caller, kind, condition, order)
        assert (kind, filter, order, forward) == (kind, filter, order, listed)
        assert (backward, total) == (listed, len(listed)), (kind, filter, order)


async def test_every_filter_tells_some_from_others() -> None:
    lists = [[one.id for one in RECORDS[kind] if condition(EVERYTHING, one)] for kind, _, condition in FILTERS]

    empty = [filter for (_, filter, _), ids in zip(FILTERS, lists, strict=True) if not ids]
    assert empty == [{"ids": []}, {"search": "n's%"}]


async def test_an_enquirys_contacts_are_those_in_sight_by_id(database: Database) -> None:
    ids = [enquiry.id for enquiry in ENQUIRIES[:4]]
    people = {name: People(database, CALLERS[name], "Europe/London") for name in ("everything", "ours")}
    before = database.statement_count

    pages = await people["everything"].contacts(ids, Window(2, False, None, None))
    further = await people["everything"].contacts(ids[:1], Window(2, False, pages[0].end_cursor, None))
    last = await people["everything"].contacts(ids, Window(1, True, None, None))
    ours = await people["ours"].contacts(ids, Window(9, False, None, None))

    of = {enquiry: [one.id for one in CONTACTS if one.care_enquiry == enquiry] for enquiry in ids}
    assert [[node.id for node in page.nodes] for page in pages] == [of[id][:2] for id in ids]
    assert [page.has_next_page for page in pages] == [True, False, False, False]
    assert [[node.id for node in page.nodes] for page in further] == [of[ids[0]][2:]]
    assert [[node.id for node in page.nodes] for page in last] == [of[id][-1:] for id in ids]
    assert [[node.id for node in page.nodes] for page in ours] == [of[ids[0]], [], [CONTACTS[2].id], []]
    assert database.statement_count - before == 4
    assert [await page.total_count() for page in ours] == [3, 0, 1, 0]
    assert database.statement_count - before == 5


def cursors() -> Iterator[tuple[Kind, tuple[tuple[str, bool], ...]]]:
    for kind in RECORDS:
        for order in ORDERS[:3]:
            yield kind, order


async def test_a_cursor_is_good_for_the_list_and_order_that_it_came_from_alone(database: Database) -> None:
    people = People(database, EVERYTHING, "Europe/London")
    own = {key: (await people.page(*key[:1], {}, key[1], Window(1, False, None, None))).end_cursor for key in cursors()}

    for (kind, order), (other, cursor) in product(cursors(), own.items()):
        window = Window(1, False, cursor, None)
        if (kind, order) == other:
            assert len((await people.page(kind, {}, order, window)).nodes) == 1
        else:
            with pytest.raises(InvalidPage, match="no cursor of this list"):
                await people.page(kind, {}, order, window)


@pytest.mark.parametrize(
    ("filter", "problem"),
    [
        ({"search": "x" * 101}, "`search` may have at most 100 characters: this one has 101"),
        ({"search": "a\0b"}, "`search` holds NUL"),
        ({"search": "a\ud800b"}, "`search` holds NUL or half a character"),
        ({"ids": ["f" * 24] * 251}, "at most 250 values"),
        ({"role": ["NURSE"] * 251}, "at most 250 values"),
    ],
)
async def test_what_is_too_much_is_refused(database: Database, filter: PeopleFilter, problem: str) -> None:
    with pytest.raises(InvalidPage, match=problem):
        await People(database, EVERYTHING, "Europe/London").page("user", filter, ORDERS[0], Window(1, False, None, None))


@pytest.mark.parametrize("content", ["en|0a\0b|{id}", "en|{long}|{id}", "en|0a", "en|0a|{id}|{id}", "en|0a|x", "n|0a|{id}"])
async def test_any_other_text_is_no_cursor(database: Database, content: str) -> None:
    cursor = base64.b64encode(content.format(id="f" * 24, long="0" + "x" * 300).encode()).decode()

    with pytest.raises(InvalidPage, match="no cursor of this list"):
        await People(database, EVERYTHING, "Europe/London").page("care_enquiry", {}, ORDERS[0], Window(1, False, cursor, None))

"""Random requests and documents about the world of the tests, sound and unsound."""

import json
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from storage.caller import Caller, Role
from storage.carehq.documents import KINDS
from storage.models import VisitHost, VisitType
from storage.outbox.transports import NotSent, Refused, Unreachable
from tests.resolvers.changing import mutation
from tests.world import (
    ANNA,
    ANONYMIZED_ENQUIRY,
    BEECHES,
    BEN,
    DAUGHTER,
    ELSEWHERE,
    EVERYBODY,
    FOR_BEECHES,
    FOR_WILLOWS,
    NOW,
    SON,
    STUB_CONTACT,
    STUB_ENQUIRY,
    STUB_HOME,
    STUB_USER,
    UNKNOWN,
    VISIT_IDS,
    WILLOWS,
    limited_to,
)

PAGE = "($filter: HomeVisitFilter, $orderBy: [HomeVisitOrder!], $first: Int, $last: Int, $after: String, $before: String)"
ARGUMENTS = "(filter: $filter, orderBy: $orderBy, first: $first, last: $last, after: $after, before: $before)"
INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
VISIT = """
    id status dateTime visitType host notes created modified cancelled completed anonymized version confirmation allowedOperations
    careEnquiry { id careSeeker { firstName email } assignedTo { id firstName } location { id } anonymized }
    location { id name timeZone } assignedTo { id lastName email } serviceUserContact { id firstName careEnquiry { id } }
"""
NESTED = f"homeVisits{ARGUMENTS} {{ totalCount edges {{ cursor node {{ id status dateTime notes }} }} {INFO} }}"
LIST = f"query {PAGE} {{ homeVisits{ARGUMENTS} {{ totalCount edges {{ cursor node {{ {VISIT} }} }} nodes {{ id }} {INFO} }} }}"
# One kind of parents in each: of two refused lists, the one whose parent was loaded first is told.
PARENTS = [
    f"query {PAGE} {{ homeVisits(first: 20) {{ nodes {{ id {parent} {{ id {NESTED} }} }} }} }}"
    for parent in ("location", "careEnquiry")
]
NODE = f"""query ($id: ID!) {{
    homeVisit(id: $id) {{ {VISIT} }}
    careEnquiry(id: $id) {{ id homeVisits {{ totalCount nodes {{ id }} }} }}
    location(id: $id) {{ id name homeVisits(last: 3) {{ totalCount nodes {{ id }} }} }}
    user(id: $id) {{ id firstName }}
    node(id: $id) {{
        __typename id ... on HomeVisit {{ {VISIT} }} ... on Location {{ name phone }} ... on User {{ email }}
        ... on CareEnquiry {{ careSeeker {{ lastName }} }} ... on ServiceUserContact {{ phone of: careEnquiry {{ id }} }}
    }}
    viewer {{ subject roles locations {{ id name }} }}
}}"""
HOMES, USERS = [WILLOWS, BEECHES, STUB_HOME], [ANNA, BEN, STUB_USER]
ENQUIRIES = [FOR_WILLOWS, FOR_BEECHES, STUB_ENQUIRY, ANONYMIZED_ENQUIRY, ELSEWHERE]
CONTACTS = [DAUGHTER, SON, STUB_CONTACT]
NEW = [f"6000000000000000000000{n:02x}" for n in range(4)]
# Of a list, some databases find the rows in another way when it is long.
MANY = [f"7{n:023x}" for n in range(60)]
ODD_IDS = ["", "x", "\0", f" {WILLOWS} ", VISIT_IDS[0].upper(), "é" * 24, UNKNOWN + "0", "\ud800", "5" * 23 + "٣"]

# What cases, widths, marks, signs and white space make of each other, and what an index of trigrams passes over.
WORDS = [
    *("café", "CAFÉ", "cafe\N{COMBINING ACUTE ACCENT}", "日本語", "日本", "ﬁne", "FINE", "İstanbul", "istanbul", "ISTANBUL"),
    *(
        "ß",
        "SS",
        "ẞ",
        "Σίσυφος",
        "ΣΊΣΥΦΟΣ",
        "100%",
        "%",
        "_",
        "a_b",
        "\\",
        "\\\\",
        "'",
        "\u2019",
        '"',
        "👍🏽",
        "👍",
        "…",
        "½",
        "ªº",
    ),
    *("\u017f", "Ǆ", "ŉ", "a b", "a\u00a0b", "a\r\nb", "a  b", "so\u00adft", "soft", "a\u200db", "ab", "c", "--", "***"),
    *("e\u0301\u0301", "\uac01", "\u1100\u1161\u11a8", "ﷺ", "notes", "NOTES ", " visit", "Visit 1", "x" * 101, "\t", "\u3000"),
    *("\x7f", "\x01", "ѐ", "Ѐ", "٣", "³", "\u212a"),
]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=4).flatmap(
    lambda words: st.sampled_from(["", " ", ", "]).map(lambda between: between.join(words))
) | st.text(max_size=12)
UNSOUND_TEXTS = st.sampled_from(["\0", "a\0b", "\ud800", "y" * 10_001, "a" + "\N{COMBINING ACUTE ACCENT}" * 31, "ﷺ" * 2_000])
NOTES = TEXTS | TEXTS | TEXTS | UNSOUND_TEXTS
KEYWORDS = st.sampled_from(WORDS) | TEXTS | st.sampled_from(["\0", "\ud800", ""])


def _sometimes(usual: st.SearchStrategy[Any], *rare: Any) -> st.SearchStrategy[Any]:
    """Draw a rare value one time in twelve."""
    return st.integers(0, 11).flatmap(lambda n: st.sampled_from(rare) if n == 11 else usual)


def _ids(*ids: str) -> st.SearchStrategy[Any]:
    return _sometimes(st.sampled_from(ids), UNKNOWN, *ODD_IDS)


def _lists(ids: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(ids, max_size=4) | ids.map(lambda one: [*MANY, one]) | _sometimes(st.none(), ["z"] * 251)


CALLERS = st.sampled_from(
    [
        *[EVERYBODY] * 8,
        *[limited_to(*homes) for homes in ([WILLOWS], [BEECHES], [WILLOWS, BEECHES], [STUB_HOME], [], [WILLOWS, *MANY])],
        limited_to(WILLOWS, role=Role.VIEWER),
        Caller("nobody", frozenset()),
        Caller("everybody\u2019s namesake", frozenset({Role.COORDINATOR}), frozenset([WILLOWS])),
    ]
)
TIMES = _sometimes(
    st.builds(
        lambda hours, micros, zone: (NOW + timedelta(hours=hours, microseconds=micros)).isoformat().replace("+00:00", zone),
        st.integers(-100, 100),
        st.sampled_from([0, 0, 1, 500_000, 999_999, 120_000]),
        st.sampled_from(["Z", "+00:00", "+01:00", "-11:30"]),
    ),
    *("2024-11-04T09:30:00", "2024-11-04", "1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31T23:59:59.999999Z", "2100-12-31T23:59:59.999Z", "2024-02-30T00:00:00Z", "", 5, None),
)
INSTANTS = _sometimes(TIMES, *[(NOW - timedelta(days=1, milliseconds=n)).isoformat() for n in range(1, 4)])
DATES = _sometimes(
    st.integers(-3, 3).map(lambda days: (NOW + timedelta(days=days)).date().isoformat()),
    *("0001-01-01", "9999-12-31", "2024-11-31", "x"),
)
ZONES = _sometimes(st.sampled_from(["UTC", "Europe/London", "Pacific/Kiritimati", "America/New_York"]), "Nowhere/Land", "")
FLAGS = st.none() | st.booleans()
FILTERS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "ids": _lists(_ids(*VISIT_IDS)),
        "careEnquiry": _lists(_ids(*ENQUIRIES)),
        "location": _lists(_ids(*HOMES)),
        "assignedTo": _lists(_ids(*USERS)),
        "serviceUserContact": _lists(_ids(*CONTACTS)),
        "status": st.lists(st.sampled_from(["PENDING", "CANCELLED", "COMPLETED"]), max_size=2),
        "host": st.lists(st.sampled_from(list(VisitHost)), max_size=3).map(lambda hosts: [host.value for host in hosts]),
        "visitType": st.lists(st.sampled_from(["IN_PERSON", "VIRTUAL"]), max_size=2),
        "anonymized": FLAGS,
        "cancelled": FLAGS,
        "completed": FLAGS,
        "startDate": DATES,
        "endDate": DATES,
        "timeZone": ZONES,
        "modifiedAfter": INSTANTS,
        "modifiedBefore": INSTANTS,
        "keyword": KEYWORDS,
    },
)
# One condition alone is what is usual, and what each path of access is for.
ONE_CONDITION = FILTERS.filter(bool).flatmap(lambda many: st.sampled_from(sorted(many)).map(lambda name: {name: many[name]}))
ORDERS = _sometimes(
    st.lists(
        st.fixed_dictionaries(
            {
                "field": st.sampled_from(["ID", "DATE_TIME", "CREATED", "MODIFIED"]),
                "direction": st.sampled_from(["ASC", "DESC"]),
            }
        ),
        max_size=3,
    ),
    [{"field": "CREATED"}] * 9,
)
SIZES = _sometimes(
    st.fixed_dictionaries({}, optional={"first": st.integers(0, 7)}), {"first": -1}, {"first": 101}, {"first": 100}
)
SIZES |= _sometimes(st.fixed_dictionaries({"last": st.integers(0, 7)}), {"last": -1}, {"first": 1, "last": 1}, {"last": 100})
BAD_CURSORS = st.sampled_from(["", "x", "aXx4", "\0", "ZHxpfA==", "é", "\ud800"]) | st.text(max_size=8)

SOUND_BOOKINGS = st.fixed_dictionaries(
    {
        "careEnquiry": st.sampled_from([FOR_WILLOWS, FOR_BEECHES]),
        "dateTime": st.integers(1, 200).map(lambda hours: (NOW + timedelta(hours=hours)).isoformat()),
        "host": st.sampled_from(["MANAGER", "NURSE"]),
        "visitType": st.sampled_from(["IN_PERSON", "VIRTUAL"]),
        "notes": TEXTS,
    },
    optional={"idempotencyKey": st.sampled_from(["k", "l"])},
)
BOOKINGS = SOUND_BOOKINGS | st.fixed_dictionaries(
    {
        "careEnquiry": _ids(FOR_WILLOWS, FOR_BEECHES, *ENQUIRIES),
        "dateTime": TIMES,
        "host": st.sampled_from([host.value for host in VisitHost]),
        "visitType": st.sampled_from([kind.value for kind in VisitType]),
    },
    optional={
        "assignedTo": st.none() | _ids(*USERS),
        "serviceUserContact": st.none() | _ids(*CONTACTS),
        "notes": NOTES,
        "suppressConfirmation": st.booleans(),
        "idempotencyKey": _sometimes(
            st.sampled_from(["k", "l", "é\u2019\u2028", "😀"]), "", "\0", "\ud800", "k" * 255, "k" * 256
        ),
    },
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "dateTime": TIMES,
        "host": st.none() | st.sampled_from([host.value for host in VisitHost]),
        "notes": st.none() | NOTES,
        "assignedTo": st.none() | _ids(*USERS),
        "suppressConfirmation": st.booleans(),
        "expectedVersion": _sometimes(st.integers(1, 3), 0, -1, 2**31 - 1, 2**31),
    },
)
VERSIONS = st.fixed_dictionaries({}, optional={"expectedVersion": st.integers(0, 3)})
MUTATIONS = {name: mutation(f"{name}HomeVisit", VISIT) for name in ("book", "update", "cancel", "complete")}

REFUSALS = st.lists(
    st.sampled_from([None, None, NotSent("421 Later."), Refused("550 No such user."), Unreachable("It does not answer.")]),
    max_size=3,
)

# Documents, by their kinds.
_TEXT = st.none() | TEXTS | st.sampled_from(["\0", "x" * 301, "\ud800", 5])
_OLD = ["2024-10-01 10:00:00", "2024-11-01 10:00:00", "2024-11-20 10:00:00", "2024-11-20T10:00:00.250+02:00", "", None]
_PEOPLE = {"first_name": _TEXT, "last_name": _TEXT, "email": _sometimes(_TEXT, "a@family.example", "b@family.example, c@x")}


def _document(ids: list[str], fields: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"_id": _sometimes(st.sampled_from([*ids, *NEW]), *ODD_IDS[:5]), **fields}, optional=optional)


_VISITS = _document(
    VISIT_IDS,
    {
        "care_enquiry": _ids(*ENQUIRIES, *NEW),
        "location": _ids(*HOMES, *NEW),
        "date_time": st.sampled_from([*_OLD, "2024-11-04 09:30:00", "2024-11-30 09:30:00"]),
        "host": _sometimes(st.sampled_from([host.value.lower() for host in VisitHost]), "cook", "NURSE"),
        "visit_type": st.sampled_from(["in_person", "virtual"]),
        "created": _sometimes(st.just("2024-10-25 08:00:00"), *_OLD),
        "modified": st.sampled_from(_OLD[:4]),
    },
    {
        "assigned_to": st.none() | _ids(*USERS, *NEW),
        "service_user_contact": st.none() | _ids(*CONTACTS, *NEW),
        "notes": _TEXT | NOTES,
        "cancelled": st.sampled_from([None, None, "2024-11-02 10:00:00", "2024-11-20 10:00:00"]),
        "completed": st.sampled_from([None, None, "2024-11-03 10:00:00"]),
        "anonymized": st.sampled_from([None, None, None, "2024-11-03 10:00:00"]),
    },
)
_DOCUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "users": _document(
        USERS,
        {},
        _PEOPLE
        | {
            "locations": st.none() | st.lists(_ids(*HOMES, *NEW), max_size=3),
            "location_role": st.sampled_from(["nurse", "NURSE", "cook", None]),
            "suspended": st.sampled_from([True, False, None, 1]),
        },
    ),
    "locations": _document(HOMES, {}, {"name": _TEXT, "email": _TEXT, "phone": _TEXT, "time_zone": st.none() | ZONES}),
    "care_enquiries": _document(
        ENQUIRIES,
        {},
        _PEOPLE
        | {
            "phone": _TEXT,
            "assigned_to": st.none() | _ids(*USERS, *NEW),
            "location": st.none() | _ids(*HOMES, *NEW),
            "anonymized": st.sampled_from([None, None, "2024-11-03 10:00:00"]),
        },
    ),
    "service_user_contacts": _document(CONTACTS, {}, _PEOPLE | {"care_enquiry": st.none() | _ids(*ENQUIRIES, *NEW)}),
    "home_visits": _VISITS,
}
FILES = st.sampled_from([*KINDS, "home_visits", "home_visits"]).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.lists(_DOCUMENTS[kind], min_size=1, max_size=5).map(lambda documents: json.dumps(documents).encode()),
    )
)

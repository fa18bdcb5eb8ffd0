from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from storage.carehq.documents import KINDS, problems, read_document
from storage.models import VisitHost, VisitType
from tests.memory import kept_memory
from tests.storage.carehq.taking import CONTACT, ENQUIRY, LOCATION, USER, VISIT, visit

NOT_AN_IDENTIFIER = "must be 24 hexadecimal characters, 0-9 and a-f"
NOT_AN_INSTANT = "must be an instant like 2024-11-03 11:00:00 in UTC, or with an offset like 2024-11-03T11:00:00+01:00"
NOT_A_TEXT = "must be a text or null"
HOSTS = "manager, deputy_manager, administrator, receptionist, senior_carer, carer, customer_relations_adviser, nurse, other"


def problems_of(kind: str, document: Any) -> list[str]:
    # Not `pytest.raises`: what it keeps of the error makes a cycle that pydantic 2.13.0 hides from the garbage collector.
    try:
        KINDS[kind].document.model_validate(document)
    except ValidationError as refusal:
        return problems(refusal)
    raise AssertionError("it was not refused")


def kept(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    return vars(KINDS[kind].document.model_validate(document))


def test_a_visit_is_kept_with_all_it_holds() -> None:
    document = visit(
        assigned_to=USER,
        cancelled="2024-11-02 09:00:00",
        anonymized="2024-11-02 10:00:00",
        notes="Two steps at the door.",
        service_user_contact=CONTACT,
    )

    assert kept("home_visits", document) == {
        "id": VISIT,
        "anonymized": datetime(2024, 11, 2, 10, tzinfo=UTC),
        "assigned_to": USER,
        "cancelled": datetime(2024, 11, 2, 9, tzinfo=UTC),
        "care_enquiry": ENQUIRY,
        "completed": None,
        "created": datetime(2024, 11, 1, 16, 3, 34, tzinfo=UTC),
        "date_time": datetime(2024, 11, 3, 11, tzinfo=UTC),
        "host": VisitHost.MANAGER,
        "location": LOCATION,
        "modified": datetime(2024, 11, 1, 16, 3, 34, tzinfo=UTC),
        "notes": "Two steps at the door.",
        "service_user_contact": CONTACT,
        "visit_type": VisitType.IN_PERSON,
    }


def test_fields_that_a_visit_can_do_without_are_null_and_notes_empty() -> None:
    values = kept("home_visits", visit())

    absent = ["anonymized", "assigned_to", "cancelled", "completed", "service_user_contact"]
    assert {name: values[name] for name in absent} == dict.fromkeys(absent)
    assert values["notes"] == ""


def test_null_is_as_good_as_absent_where_a_field_may_be_absent() -> None:
    absent = dict.fromkeys(["anonymized", "assigned_to", "cancelled", "completed", "service_user_contact", "notes"])

    assert kept("home_visits", visit(**absent)) == kept("home_visits", visit())


def test_unknown_fields_are_ignored() -> None:
    assert kept("home_visits", visit(colour="blue", version=7, number=1)) == kept("home_visits", visit())


def test_every_missing_field_of_a_visit_is_told() -> None:
    required = ["_id", "care_enquiry", "created", "date_time", "host", "location", "modified", "visit_type"]

    assert problems_of("home_visits", {}) == [f"{name} is missing" for name in required]


def test_missing_and_wrong_fields_are_told_together() -> None:
    document = visit(_id=5, host="boss", cancelled="soon", notes=["a"])
    del document["created"]

    assert problems_of("home_visits", document) == [
        f"_id {NOT_AN_IDENTIFIER}",
        f"cancelled {NOT_AN_INSTANT}",
        "created is missing",
        f"host must be one of {HOSTS}",
        f"notes {NOT_A_TEXT}",
    ]


@pytest.mark.parametrize("document", [None, 5, "visit", [], [visit()], True])
def test_what_is_no_object_is_no_document(document: Any) -> None:
    assert problems_of("home_visits", document) == ["must be a JSON object"]


@pytest.mark.parametrize(
    "value", [None, "", "abc", 24 * "g", 23 * "a", 25 * "a", 24 * "A", 12 * "a" + "\n" + 12 * "a", 24 * "٣", 10**23, []]
)
def test_an_id_is_24_hexadecimal_characters(value: Any) -> None:
    assert problems_of("home_visits", visit(location=value)) == [f"location {NOT_AN_IDENTIFIER}"]


def test_white_space_around_ids_instants_and_zones_is_left_out() -> None:
    values = kept("home_visits", visit(location=f" {LOCATION}\n", date_time="\t2024-11-03 11:00:00\n"))
    user = kept("users", {"_id": USER, "locations": [f"{LOCATION} ", f"\n{LOCATION}"]})
    location = kept("locations", {"_id": LOCATION, "time_zone": " Europe/Paris\n"})

    assert (values["location"], values["date_time"]) == (LOCATION, datetime(2024, 11, 3, 11, tzinfo=UTC))
    assert (user["locations"], location["time_zone"]) == ([LOCATION], "Europe/Paris")


@pytest.mark.parametrize("name", ["host", "visit_type"])
@pytest.mark.parametrize("value", [None, "", "MANAGER", "IN_PERSON", "by_phone", 3, ["manager"]])
def test_hosts_and_visit_types_are_the_sources_own_words(name: str, value: Any) -> None:
    words = {"host": HOSTS, "visit_type": "in_person, virtual"}

    assert problems_of("home_visits", visit(**{name: value})) == [f"{name} must be one of {words[name]}"]


@pytest.mark.parametrize("host", list(VisitHost))
def test_hosts_are_lower_case_in_documents(host: VisitHost) -> None:
    assert kept("home_visits", visit(host=host.lower()))["host"] is host


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-11-03 11:00:00", datetime(2024, 11, 3, 11, tzinfo=UTC)),
        ("2024-07-03 11:00:00", datetime(2024, 7, 3, 11, tzinfo=UTC)),
        ("2024-11-03 11:00:00.5", datetime(2024, 11, 3, 11, 0, 0, 500_000, tzinfo=UTC)),
        ("2024-11-03 11:00:00.123456", datetime(2024, 11, 3, 11, 0, 0, 123_456, tzinfo=UTC)),
        ("2024-11-03 11:00:00.123456789", datetime(2024, 11, 3, 11, 0, 0, 123_456, tzinfo=UTC)),
        ("2024-11-03T11:00:00Z", datetime(2024, 11, 3, 11, tzinfo=UTC)),
        ("2024-11-03t11:00:00z", datetime(2024, 11, 3, 11, tzinfo=UTC)),
        ("2024-11-03T11:00:00+01:00", datetime(2024, 11, 3, 10, tzinfo=UTC)),
        ("2024-11-03 11:00:00-05:30", datetime(2024, 11, 3, 16, 30, tzinfo=UTC)),
        ("2024-02-29 00:00:00", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_an_instant_without_an_offset_is_in_utc(text: str, instant: datetime) -> None:
    read = kept("home_visits", visit(created=text))["created"]

    assert (read, read.tzinfo) == (instant, UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-11-03 11:00:00.999999", datetime(2024, 11, 3, 11, tzinfo=UTC)),
        ("2024-11-03T12:00:00.5+01:00", datetime(2024, 11, 3, 11, tzinfo=UTC)),
        ("2000-01-01 00:00:00", datetime(2000, 1, 1, tzinfo=UTC)),
        ("2101-01-01T00:59:59+01:00", datetime(2100, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_the_time_of_a_visit_is_cut_to_whole_seconds(text: str, instant: datetime) -> None:
    assert kept("home_visits", visit(date_time=text))["date_time"] == instant


@pytest.mark.parametrize("text", ["1026-11-03 11:00:00", "1999-12-31 23:59:59.9", "2101-01-01 00:00:00", "9026-11-03 11:00:00"])
def test_a_year_in_which_no_visit_can_be_is_refused(text: str) -> None:
    assert problems_of("home_visits", visit(date_time=text)) == ["date_time must be in a year from 2000 to 2100"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "2024-11-03",
        "11:00:00",
        "2024-11-03 11:00",
        "2024-11-03 11",
        "20241103 110000",
        "2024-W44-7 11:00:00",
        "2023-02-29 11:00:00",
        "2024-11-31 11:00:00",
        "2024-11-03 24:00:01",
        "2024-11-03 23:59:60",
        "2024-11-03 11:00:00+25:00",
        "2024-11-03 11:00:00 Europe/London",
        "٢٠٢٤-11-03 11:00:00",
        "2024-11-03 11:\n00:00",
        "0000-11-03 11:00:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        1_730_631_600,
        {"$date": "2024-11-03T11:00:00Z"},
    ],
)
def test_what_is_no_instant_is_refused(value: Any) -> None:
    assert problems_of("home_visits", visit(date_time=value)) == [f"date_time {NOT_AN_INSTANT}"]


def test_a_visit_that_was_completed_and_cancelled_is_cancelled_with_a_warning() -> None:
    value = visit(cancelled="2024-11-02 09:00:00", completed="2024-11-03 12:00:00")

    document, warnings = read_document(KINDS["home_visits"], value)

    assert (vars(document)["cancelled"], vars(document)["completed"]) == (datetime(2024, 11, 2, 9, tzinfo=UTC), None)
    assert warnings == ["completed is left out, for `cancelled` is set: the visit is CANCELLED"]


def test_what_is_wrong_with_one_end_is_told_beside_the_other() -> None:
    assert problems_of("home_visits", visit(cancelled="2024-11-02 09:00:00", completed="soon")) == [f"completed {NOT_AN_INSTANT}"]


def test_a_sound_document_has_no_warnings() -> None:
    _, warnings = read_document(KINDS["home_visits"], visit(cancelled="2024-11-02 09:00:00"))

    assert warnings == []


def test_notes_have_at_most_10000_characters() -> None:
    assert kept("home_visits", visit(notes=10_000 * "é"))["notes"] == 10_000 * "é"
    assert problems_of("home_visits", visit(notes=10_001 * "é")) == ["notes must have at most 10,000 characters: it has 10,001"]


@pytest.mark.parametrize(("kind", "field"), [("home_visits", "notes"), ("users", "email"), ("locations", "name")])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (5, NOT_A_TEXT),
        (True, NOT_A_TEXT),
        ({}, NOT_A_TEXT),
        ("nu\0l", "must not hold the NUL character"),
        ("caf\udce9", "must be UTF-8"),
        ("é\ud800", "must be UTF-8"),
    ],
)
def test_a_text_is_what_every_database_can_keep(kind: str, field: str, value: Any, problem: str) -> None:
    document = (visit() if kind == "home_visits" else {"_id": USER}) | {field: value}

    assert problems_of(kind, document) == [f"{field} {problem}"]


@pytest.mark.parametrize(
    "value", [5, [], "", "Londen", "Europe", "../../etc/passwd", "/etc/localtime", "Europe/Lon\0don", "\ud800"]
)
def test_a_time_zone_has_an_iana_name(value: Any) -> None:
    document = {"_id": LOCATION, "time_zone": value}

    assert problems_of("locations", document) == ["time_zone must be the IANA name of a time zone, like Europe/London"]


@pytest.mark.parametrize("kind", ["users", "locations", "care_enquiries", "service_user_contacts"])
def test_of_other_documents_only_the_id_is_needed(kind: str) -> None:
    values = kept(kind, {"_id": USER})

    defaults = {"suspended": False} if kind == "users" else {}
    assert values == dict.fromkeys(KINDS[kind].document.model_fields) | defaults | {"id": USER}


def test_a_user_has_locations_a_role_and_whether_they_are_suspended() -> None:
    values = kept("users", {"_id": USER, "locations": [LOCATION, USER, LOCATION], "location_role": "nurse", "suspended": True})

    assert (values["locations"], values["location_role"], values["suspended"]) == ([LOCATION, USER], VisitHost.NURSE, True)


@pytest.mark.parametrize("role", ["regional_manager", "NURSE", "", None, 5, ["nurse"]])
def test_a_role_that_is_unknown_is_null(role: Any) -> None:
    warnings: list[str] = []
    document = KINDS["users"].document.model_validate({"_id": USER, "location_role": role}, context=warnings)

    known = "manager, deputy_manager, administrator, receptionist, senior_carer, carer, customer_relations_adviser, nurse, other"
    assert vars(document)["location_role"] is None
    assert warnings == ([] if role is None else [f"location_role is left out, for it is none of {known}"])


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("locations", LOCATION, "must be a list of IDs, each 24 hexadecimal characters, 0-9 and a-f"),
        ("locations", [LOCATION, "5"], "must be a list of IDs, each 24 hexadecimal characters, 0-9 and a-f"),
        ("locations", [None], "must be a list of IDs, each 24 hexadecimal characters, 0-9 and a-f"),
        ("suspended", "yes", "must be true, false or null"),
        ("suspended", 1, "must be true, false or null"),
    ],
)
def test_what_a_user_cannot_have_is_refused(field: str, value: Any, problem: str) -> None:
    assert problems_of("users", {"_id": USER, field: value}) == [f"{field} {problem}"]


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_a_document_has_a_column_for_each_of_its_fields(kind: Any) -> None:
    only_ours = {"number", "version", "confirmation", "notes_folded", "name_folded", "search_folded"}

    # Of contacts the source does not say it.
    if kind.name == "service_user_contacts":
        only_ours.add("anonymized")

    assert set(kind.document.model_fields) == set(kind.table.columns.keys()) - only_ours


def test_a_thousand_long_names_of_time_zones_leave_nothing_behind() -> None:
    with kept_memory() as kept:
        for number in range(1_000):
            assert problems_of("locations", {"_id": 24 * "9", "time_zone": f"{number}{'x' * 4_000}"}) == [
                "time_zone must be the IANA name of a time zone, like Europe/London"
            ]

    assert kept.bytes < 50_000


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (kind, field)
        for kind in ("users", "locations", "care_enquiries", "service_user_contacts")
        for field in ("first_name", "last_name", "name", "email", "phone")
        if field in KINDS[kind].document.model_fields
    ],
)
def test_a_text_over_300_characters_is_refused_by_the_name_of_its_field(kind: str, field: str) -> None:
    assert kept(kind, {"_id": USER, field: "é" * 300})[field] == "é" * 300
    assert problems_of(kind, {"_id": USER, field: "é" * 1001}) == [f"{field} must have at most 300 characters: it has 1,001"]

"""The name of a file, or who imports it, tells what kind of documents it holds."""

from pathlib import Path

import pytest

from storage.carehq.documents import KINDS, UnknownKind, kind_named, kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("users.json", "users"),
        ("locations.json", "locations"),
        ("care_enquiries.jsonl", "care_enquiries"),
        ("service_user_contacts.json", "service_user_contacts"),
        ("home_visits.json", "home_visits"),
        ("home_visits_page.json", "home_visits"),
        ("home_visits-2024.json", "home_visits"),
        ("Home_Visits.2024-11-01.ndjson", "home_visits"),
        ("users (1).json", "users"),
        ("users", "users"),
    ],
)
def test_the_name_of_a_file_tells_what_it_holds(name: str, kind: str) -> None:
    assert kind_of(Path("users") / name) is KINDS[kind]


@pytest.mark.parametrize("name", ["visits.json", "userspace.json", "old_users.json", "export.json"])
def test_another_name_tells_nothing(name: str) -> None:
    with pytest.raises(UnknownKind) as refused:
        kind_of(Path("users") / name)

    assert str(refused.value) == (
        f"users/{name} does not tell what it holds: name its kind with --kind, one of "
        "users, locations, care_enquiries, service_user_contacts, home_visits."
    )


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownKind) as refused:
        kind_named("visits")

    assert str(refused.value) == (
        "There are no documents called visits: choose one of "
        "users, locations, care_enquiries, service_user_contacts, home_visits."
    )

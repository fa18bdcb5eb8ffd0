"""Who may do what: the table, and that no operation is missing from it."""

from pathlib import Path

import pytest
from graphql import build_schema

from resolvers.auth import DEVELOPER, INTROSPECTION, REQUIRED_ROLES, Forbidden, allowed_operations, may, require
from storage.caller import Caller, Role
from storage.lifecycle import HomeVisitOperation

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"

READ = ("Query", "homeVisits")
FOLLOW = ("Subscription", "homeVisitChanged")
WRITE = ("Mutation", "bookHomeVisit")


def caller(*roles: Role) -> Caller:
    return Caller("amy", frozenset(roles))


def unlisted(sdl: str) -> set[tuple[str, str]]:
    """Return the root fields of a schema that the table says nothing of."""
    schema = build_schema(sdl)
    roots = [root for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root]
    return {(root.name, field) for root in roots for field in root.fields} - set(REQUIRED_ROLES)


def test_every_root_field_of_the_api_says_which_role_it_needs() -> None:
    sdl = SDL.read_text()

    missing = unlisted(sdl)

    assert missing == set()


def test_a_root_field_that_says_nothing_is_noticed() -> None:
    sdl = """
        type Query { viewer: Int, secrets: Int }
        type Mutation { dropEverything: Int }
        type Subscription { homeVisitChanged: Int, secretsChanged: Int }
    """

    missing = unlisted(sdl)

    assert missing == {("Query", "secrets"), ("Mutation", "dropEverything"), ("Subscription", "secretsChanged")}


def test_every_read_needs_a_viewer_every_write_a_coordinator_and_operating_an_admin() -> None:
    by_root = {"Query": Role.VIEWER, "Subscription": Role.VIEWER, "Mutation": Role.COORDINATOR, "GET": Role.ADMIN}

    expected = {operation: by_root[operation[0]] for operation in REQUIRED_ROLES} | {INTROSPECTION: Role.ADMIN}

    assert expected == REQUIRED_ROLES


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        ([], []),
        ([Role.VIEWER], [READ, FOLLOW]),
        ([Role.COORDINATOR], [READ, FOLLOW, WRITE]),
        ([Role.ADMIN], [READ, FOLLOW, WRITE, INTROSPECTION]),
        ([Role.VIEWER, Role.ADMIN], [READ, FOLLOW, WRITE, INTROSPECTION]),
    ],
)
def test_each_role_may_do_all_that_the_ones_before_it_may(roles: list[Role], allowed: list[tuple[str, str]]) -> None:
    amy = caller(*roles)

    can = [operation for operation in (READ, FOLLOW, WRITE, INTROSPECTION) if may(amy, operation)]

    assert can == allowed


def test_what_a_caller_may_not_do_is_refused_with_the_role_that_it_needs() -> None:
    amy = caller(Role.VIEWER)

    with pytest.raises(Forbidden) as refused:
        require(amy, WRITE)

    assert refused.value.formatted == {
        "message": "bookHomeVisit needs the role COORDINATOR. Ask whoever manages your account for it.",
        "extensions": {"code": "FORBIDDEN"},
    }


def test_what_a_caller_may_do_passes() -> None:
    amy = caller(Role.COORDINATOR)

    assert require(amy, WRITE) is None


def test_an_operation_that_the_table_does_not_know_is_closed_to_everybody() -> None:
    with pytest.raises(KeyError):
        require(DEVELOPER, ("Mutation", "dropEverything"))


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        (Role.VIEWER, []),
        (Role.COORDINATOR, [HomeVisitOperation.CANCEL, HomeVisitOperation.UPDATE]),
        (Role.ADMIN, [HomeVisitOperation.CANCEL, HomeVisitOperation.UPDATE]),
    ],
)
def test_a_screen_is_offered_only_what_its_caller_may_do(role: Role, offered: list[HomeVisitOperation]) -> None:
    possible = [HomeVisitOperation.CANCEL, HomeVisitOperation.UPDATE]

    operations = allowed_operations(caller(role), possible)

    assert operations == offered


def test_each_way_to_change_a_visit_is_offered_to_who_may_change_it() -> None:
    every = list(HomeVisitOperation)

    operations = allowed_operations(caller(Role.COORDINATOR), every)

    assert operations == every


def test_the_developer_may_do_everything_everywhere() -> None:
    may_not = [operation for operation in REQUIRED_ROLES if not may(DEVELOPER, operation)]

    assert (DEVELOPER.subject, DEVELOPER.locations, may_not) == ("developer", None, [])

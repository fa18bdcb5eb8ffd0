"""The schema that is served is the one that was promised, and the one that was committed."""

from pathlib import Path

from graphql import GraphQLSchema
from graphql.utilities import DangerousChangeType, find_breaking_changes, find_dangerous_changes

from resolvers.api import schema_definition

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"

STILL_TO_COME = [
    "Subscription was removed.",
    "HomeVisitEventType was removed.",
    "Source was removed.",
    "SourceKind was removed.",
    "HomeVisitCount was removed.",
    "HomeVisitGrouping was removed.",
    "HomeVisitEvent was removed.",
    "FieldChange was removed.",
    "HomeVisitEventConnection was removed.",
    "HomeVisitEventEdge was removed.",
    "HomeVisitEventFilter was removed.",
    "Field Query.homeVisitEvents was removed.",
    "Field Query.homeVisitCounts was removed.",
    "Field Query.homeVisitConflicts was removed.",
    "Field Query.source was removed.",
    "Field HomeVisit.history was removed.",
    "Field HomeVisitFilter.attendee was removed.",
    "Field HomeVisitFilter.dateTimeFrom was removed.",
    "Field HomeVisitFilter.dateTimeBefore was removed.",
    "Field HomeVisitFilter.createdAfter was removed.",
    "Field HomeVisitFilter.createdBefore was removed.",
    "Field HomeVisitFilter.assigned was removed.",
    "Field HomeVisitFilter.confirmation was removed.",
    "Field BookHomeVisitSuccess.conflicts was removed.",
    "Field UpdateHomeVisitSuccess.conflicts was removed.",
]
CHANGED_DEFAULTS = {DangerousChangeType.ARG_DEFAULT_VALUE_CHANGE, DangerousChangeType.INPUT_FIELD_DEFAULT_VALUE_CHANGE}


def test_the_committed_sdl_is_that_of_the_code() -> None:
    committed = SDL.read_text()

    exported = schema_definition()

    assert committed.removesuffix("\n") == exported, "write it anew: python app.py schema > schema/schema.graphql"


def test_nothing_of_the_contract_is_broken_but_what_is_still_to_come(contract: GraphQLSchema, exported: GraphQLSchema) -> None:
    broken = find_breaking_changes(contract, exported)

    assert sorted(change.description for change in broken) == sorted(STILL_TO_COME)


def test_no_default_of_the_contract_has_changed(contract: GraphQLSchema, exported: GraphQLSchema) -> None:
    dangerous = find_dangerous_changes(contract, exported)

    # What is new (a value, a member of a union) is dangerous to the library, and allowed to us.
    assert [change.description for change in dangerous if change.type in CHANGED_DEFAULTS] == []


def test_a_scalar_is_specified_where_the_contract_says(contract: GraphQLSchema, exported: GraphQLSchema) -> None:
    promised = {name: type.specified_by_url for name, type in contract.type_map.items() if hasattr(type, "specified_by_url")}

    served = {name: exported.type_map[name].specified_by_url for name in promised}

    assert served == promised

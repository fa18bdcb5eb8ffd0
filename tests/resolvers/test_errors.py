"""What goes wrong is told in a sentence that helps, or not told at all."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLError, located_error

from resolvers.auth import Forbidden
from resolvers.errors import MASKED, UNAVAILABLE, present, result_of, unexpected
from storage import errors
from tests import databases, world
from tests.asking import Ask, engine
from tests.databases import copied, database_at
from tests.inspection import inspect
from tests.resolvers.messages import Message, messages
from tests.world import FOR_WILLOWS, PENDING, VISIT_IDS, WILLOWS

CANARY = "canary-s3cret"


def presented(cause: Exception, path: list[str | int] | None = None) -> dict[str, Any]:
    """Return what a client is told of an exception in a resolver."""
    return present(located_error(cause, path=path or ["homeVisits"]), "the-request")


def test_a_masked_error_tells_only_where_it_was_and_under_which_request() -> None:
    cause = RuntimeError(f"postgresql://visits:{CANARY}@db/visits")

    assert presented(cause, ["homeVisits", "nodes", 0]) == {
        "message": MASKED,
        "path": ["homeVisits", "nodes", 0],
        "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": "the-request"},
    }
    assert unexpected(located_error(cause)) is cause


def test_what_an_exception_says_of_itself_is_not_believed() -> None:
    class Chatty(RuntimeError):
        extensions = {"query": f"SELECT {CANARY}"}  # noqa: RUF012 - as some libraries have it

    assert presented(Chatty(CANARY))["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "the-request"}


@pytest.mark.parametrize(
    ("refusal", "code", "message"),
    [
        (errors.InvalidPage("Ask for less."), "BAD_USER_INPUT", "Ask for less."),
        (
            errors.DatabaseBusy(),
            "OVERLOADED",
            "The database did not answer in time. Nothing was changed: try again in a moment.",
        ),
        (
            errors.DatabaseFull(),
            "STORAGE_UNAVAILABLE",
            "There is no room left to save this. Nothing was changed: try again once space has been freed.",
        ),
        (errors.DatabaseUnusable(f"/data/{CANARY}.db cannot be opened."), "STORAGE_UNAVAILABLE", UNAVAILABLE),
        (
            errors.WriteInDoubt(),
            "IN_DOUBT",
            ("The database failed while it saved this, which may have been saved all the same. Look before you send it again."),
        ),
        (Forbidden("Ask for a role."), "FORBIDDEN", "Ask for a role."),
    ],
)
def test_a_refusal_is_told_with_its_code(refusal: Exception, code: str, message: str) -> None:
    error = presented(refusal)

    assert (error["message"], error["extensions"]) == (message, {"code": code, "requestId": "the-request"})
    assert unexpected(located_error(refusal)) is None


def test_a_refusal_that_no_client_can_mend_is_masked_and_noted() -> None:
    refusal = errors.HomeVisitNotFound(CANARY)

    assert presented(refusal)["message"] == MASKED
    assert unexpected(located_error(refusal)) is refusal


def test_the_place_in_the_document_is_told() -> None:
    error = present(GraphQLError("Wrong.", extensions={"code": "BAD_REQUEST"}), "the-request")

    assert error == {"message": "Wrong.", "extensions": {"code": "BAD_REQUEST", "requestId": "the-request"}}


def test_a_long_message_is_cut() -> None:
    error = present(GraphQLError("x" * 10_000, extensions={"code": "GRAPHQL_VALIDATION_FAILED"}), "the-request")

    assert error["message"] == "x" * 500 + "…"


async def test_a_refusal_without_a_result_of_its_own_is_an_error() -> None:
    async def busy() -> Any:
        raise errors.DatabaseBusy

    with pytest.raises(errors.DatabaseBusy):
        await result_of(dict, busy())


BREAKINGS = {
    "visits lost": "DROP TABLE home_visits",
    "references lost": "DROP TABLE locations; DROP TABLE users; DROP TABLE care_enquiries; DROP TABLE service_user_contacts",
    "a later version's values": "UPDATE home_visits SET host = '$', visit_type = '$', confirmation = '$'",
    "no instants": "UPDATE home_visits SET date_time = '$', created = '$', modified = '$'",
    "nothing to write events to": "DROP TABLE home_visit_events",
    "a trigger that talks": (
        "CREATE TRIGGER t BEFORE UPDATE ON home_visits BEGIN SELECT RAISE(ABORT, '$'); END;"
        "CREATE TRIGGER u BEFORE INSERT ON home_visits BEGIN SELECT RAISE(ABORT, '$'); END;"
    ),
}
if not databases.is_sqlite():
    del BREAKINGS["no instants"]  # no column there takes what is none
    BREAKINGS = {how: re.sub(r"(DROP TABLE \w+)", r"\1 CASCADE", script) for how, script in BREAKINGS.items()}
    BREAKINGS["a trigger that talks"] = """
        CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN RAISE '$'; END $body$;
        CREATE TRIGGER t BEFORE INSERT OR UPDATE ON home_visits FOR EACH ROW EXECUTE FUNCTION t()
    """.replace("$body$", "'").replace("RAISE '$'", "RAISE ''$''")
FAILING = [
    "{ homeVisits { totalCount edges { cursor node { dateTime host created location { name } assignedTo { firstName } } } } }",
    f'{{ homeVisit(id: "{VISIT_IDS[1]}") {{ created modified host confirmation careEnquiry {{ careSeeker {{ email }} }} }} }}',
    f'{{ location(id: "{WILLOWS}") {{ name homeVisits {{ totalCount nodes {{ host modified }} }} }} }}',
    f'{{ node(id: "{world.DAUGHTER}") {{ ... on ServiceUserContact {{ firstName careEnquiry {{ location {{ name }} }} }} }} }}',
    f'{{ user(id: "{world.ANNA}") {{ homeVisits(first: 101) {{ totalCount }} }} }}',
    f'mutation {{ cancelHomeVisit(input: {{ id: "{PENDING}" }}) {{ __typename }} }}',
    f'mutation {{ updateHomeVisit(input: {{ id: "{PENDING}", notes: "{CANARY}" }}) {{ __typename }} }}',
    f"""mutation {{ bookHomeVisit(input: {{ careEnquiry: "{FOR_WILLOWS}", dateTime: "2024-11-20T14:00:00Z", host: NURSE,
        visitType: VIRTUAL, notes: "{CANARY}" }}) {{ __typename }} }}""",
]
LEAKS = re.compile(
    rf"{CANARY}|home_visit|sqlite|sqlalchemy|SELECT|INSERT|UPDATE home|no such|Traceback|Error\b|/tmp|\.py|\.db|0x[0-9a-f]+",
    re.IGNORECASE,
)


@pytest.mark.parametrize("how", BREAKINGS)
@pytest.mark.parametrize("planned", [True, False], ids=["planned", "standard"])
async def test_a_broken_database_gives_nothing_away(world_file: Path, tmp_path: Path, how: str, planned: bool) -> None:
    path = copied(world_file, tmp_path / f"{CANARY}.db")
    inspect(path).execute(BREAKINGS[how].replace("$", CANARY))
    database = await database_at(path).open()
    ask = Ask(database, engine(planned=planned))

    presented = [error for document in FAILING for error in (await ask(document)).errors]
    await database.close()

    codes = [error["extensions"].pop("code") for error in presented]
    # PostgreSQL says itself that a table is not there.
    faults = {"INTERNAL_SERVER_ERROR"} if databases.is_sqlite() else {"INTERNAL_SERVER_ERROR", "STORAGE_UNAVAILABLE"}
    assert faults & set(codes)
    assert set(codes) <= faults | {"BAD_USER_INPUT"}
    # A path is the client's own words.
    assert [error for error in presented if LEAKS.search(json.dumps(error | {"path": []}))] == []


async def test_notes_are_told_to_those_who_ask_for_them_and_in_no_error(ask: Ask) -> None:
    document = """mutation ($input: UpdateHomeVisitInput!) { updateHomeVisit(input: $input) {
        __typename ... on UserError { message } ... on InvalidInputError { problems { message } } } }"""

    answers = [
        await ask(document, {"input": {"id": id, "notes": notes}})
        for id, notes in [(world.UNKNOWN, CANARY), (world.CANCELLED, CANARY), (PENDING, CANARY * 1_000), (PENDING, CANARY + "\0")]
    ]

    assert [answer.data["updateHomeVisit"]["__typename"] for answer in answers] == [
        "HomeVisitNotFoundError",
        "HomeVisitNotPendingError",
        "InvalidInputError",
        "InvalidInputError",
    ]
    assert CANARY not in json.dumps([answer.data for answer in answers])


# A message says what to do: it has a verb that tells, a bound, or an example.
HELPS = re.compile(
    r"\b(accept|ask|begin again|book|check|choose|correct|give|leave|look|name|page|pass|remove|report|send|sign in|split|try|use"
    r"|wait|at most|like|must be)\b",
    re.IGNORECASE,
)
# Nothing can be done about it; and the library's own words, which get their full stop.
SAY_IT_ALL = {"Only a pending home visit can be changed. This one was 7 on 7.", "7."}
# Of Python, SQL and the rooms of this house, which are nothing to a client. Names of the API are in camelCase, or in quotes.
INSIDE = re.compile(
    r"\b(None|True|False|Exception|Traceback|self|dict|tuple|str|int|object at|SELECT|INSERT|DELETE|WHERE|SQL|sqlite\w*"
    r"|asyncio|coroutine|strawberry|resolvers?|storage|null pointer|[a-z]+_[a-z_]+)\b"
)


def test_messages_are_looked_for_where_they_are() -> None:
    found = {message.text for message in messages()}

    # One of each kind: a call, a table, a named sentence, a docstring, a call of the parent.
    assert found >= {
        "Send the request by POST: by GET only stored queries are taken, by their hash.",
        "The token has expired. Sign in again for a new one.",
        MASKED,
        "No home visit with this ID exists, or you may not see it. Check the ID.",
        "Only a pending home visit can be changed. This one was 7 on 7.",
        "Notes may have at most 7 characters: these have 7.",
        "{count:,} fields are selected at the root; {allowed:,} are allowed. Ask in several requests.",
    }
    assert len(found) > 60


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.place)
def test_a_message_is_a_sentence_that_helps(message: Message) -> None:
    text = message.text

    assert re.fullmatch(r"[A-Z`7{].*\.", text, re.DOTALL), text
    assert INSIDE.search(re.sub(r"`[^`]*`", "", text)) is None, text
    assert HELPS.search(text) or text in SAY_IT_ALL, text


WRONG = [
    "",
    "{",
    "{ homeVisits }",
    "{ homeVisits { nothing } }",
    "{ homeVisits(first: 1.5) { totalCount } }",
    "{ homeVisits(first: null, nothing: None) { totalCount } }",
    "{ homeVisits(filter: { host: [NOBODY], cancelled: 1 }) { totalCount } }",
    '{ homeVisits(filter: { startDate: "soon", timeZone: "Mars", modifiedAfter: "2024-11-03" }) { totalCount } }',
    "{ homeVisit { id } }",
    "query ($a: Nothing) { viewer { subject } }",
    "query ($a: Int) { viewer { subject } }",
    "{ viewer { subject @nothing } }",
    "{ viewer { ...F } }",
    "fragment F on Viewer { subject }",
    "{ viewer { ...F } } fragment F on Viewer { ...F }",
    "{ viewer { ... on HomeVisit { id } } }",
    "{ a: homeVisit(id: 1) { id } a: homeVisit(id: 2) { id } }",
    "mutation { cancelHomeVisit(input: {}) { __typename } }",
    "mutation { cancelHomeVisit(input: { id: 1, id: 2 }) { __typename } }",
    "subscription { homeVisitChanged { nothing } }",
    "query A { viewer { subject } } query A { viewer { subject } }",
    "{ viewer { subject } } { viewer { subject } }",
    "type Query { a: Int }",
]
VALUES: list[Any] = [
    None,
    True,
    1.5,
    2**40,
    "text",
    "é\0",
    [None, [False]],
    {"x": None, "first": True},
    float("nan"),
    float("inf"),
]
TYPES = [
    "Int!",
    "ID!",
    "String!",
    "Boolean!",
    "Date!",
    "DateTime!",
    "TimeZone!",
    "VisitHost!",
    "HomeVisitFilter!",
    "[HomeVisitOrder!]!",
]


@pytest.mark.parametrize("document", WRONG)
async def test_what_the_library_says_of_a_document_is_a_sentence(ask: Ask, document: str) -> None:
    response = await ask(document)

    assert response.errors != []
    for error in response.errors:
        assert_sentence(error)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_what_the_library_says_of_a_value_is_a_sentence_in_the_words_of_json(ask: Ask, type: str, value: Any) -> None:
    response = await ask(
        f"query ($value: {type}) {{ viewer {{ subject }} ... @skip(if: true) {{ {USED[type]} }} }}", {"value": value}
    )

    for error in response.errors:
        assert_sentence(error)


USED = {
    "Int!": "homeVisits(first: $value) { totalCount }",
    "ID!": "homeVisit(id: $value) { id }",
    "String!": "homeVisits(after: $value) { totalCount }",
    "Boolean!": "viewer @skip(if: $value) { subject }",
    "Date!": "homeVisits(filter: { startDate: $value }) { totalCount }",
    "DateTime!": "homeVisits(filter: { modifiedAfter: $value }) { totalCount }",
    "TimeZone!": "homeVisits(filter: { timeZone: $value }) { totalCount }",
    "VisitHost!": "homeVisits(filter: { host: [$value] }) { totalCount }",
    "HomeVisitFilter!": "homeVisits(filter: $value) { totalCount }",
    "[HomeVisitOrder!]!": "homeVisits(orderBy: $value) { totalCount }",
}


def assert_sentence(error: dict[str, Any]) -> None:
    message, quoted = error["message"], r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
    assert error["extensions"]["code"] in ("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT")
    assert re.fullmatch(r"[A-Z`].*[.?…]", message, re.DOTALL), message
    assert not re.search(
        r"\b(None|True|False|object at|Error|Exception)\b", re.sub(quoted, "", message).replace("Syntax Error", "")
    ), message

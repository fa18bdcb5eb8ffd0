"""The house keeps its plan: who may import what, who reads the environment, what each room says of itself."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

# A room imports only from those after it.
ROOMS = {
    "app.py": None,
    "resolvers": "What each operation does: check the caller, ask storage, hand the answer back.",
    "schema": "The words of the API, and how a document in those words is received, priced and run.",
    "storage": "What is kept, and the rules for changing it. Knows nothing of GraphQL, or of requests that come in.",
}
# A room within a room imports of ours only from these.
IMPORTS_FROM = {
    "schema/execution": ("schema.execution",),
    "schema/transport": ("schema.transport", "schema.execution"),
    "schema/server": ("schema.server", "schema.transport", "schema.execution", "schema.scalars", "schema.graphiql", "storage"),
    "schema": ("schema", "storage"),
    "resolvers": ("resolvers", "schema", "storage"),
}
OURS = ("app", "resolvers", "schema", "storage", "tests")
# Where what leans on private parts and undocumented modules of the libraries is, and nowhere else.
INTERNALS = Path("schema/execution/internals.py")
# The same of aiohttp's server.
PROTOCOL = Path("schema/transport/http/protocol.py")
# Documented under these names, though not at the top of their packages.
DOCUMENTED = {
    "graphql.utilities.print_schema",
    "strawberry.schema.config",
    "strawberry.types.scalar",
}
# Where each framework may be imported: a file, or a folder with all below it.
ALLOWED_IN = {
    "aiohttp": (
        "app.py",
        "resolvers/key_sets.py",
        "schema/transport/http",
        "schema/transport/rest",
        "schema/transport/websocket",
        "schema/server",
        "storage/carehq/live",
    ),
    "uvloop": ("app.py", "schema/server"),
    "prometheus_client": ("schema/server",),
    "structlog": ("schema/server",),
    "strawberry": ("app.py", "resolvers", "schema"),
    "graphql": ("resolvers", "schema"),
    "sqlmodel": ("storage",),
    "sqlalchemy": ("storage",),
    "alembic": ("storage/migrations",),
    "sqlite3": ("storage/sqlite",),
    "aiosqlite": ("storage/sqlite",),
    "asyncpg": ("storage/postgresql",),
    "aiosmtplib": ("storage/outbox",),
    "pydantic_settings": ("schema/server/settings.py",),
    "typer": ("app.py", "schema/server/commands.py"),
    "jwt": ("resolvers",),
    "cryptography": ("resolvers/api_keys.py",),
}
# Each database is known in a folder of its own, and by this one module that picks it.
DATABASES = ("storage/sqlite", "storage/postgresql")
PICKS_A_DATABASE = Path("storage/database.py")
# What of storage the SQL of queries is built from, and what a database builds on.
UNDER_QUERIES = {"caller", "errors", "folding", "identifiers", "instants", "models", "names", "queries", "records"}
UNDER_A_DATABASE = UNDER_QUERIES | {"changes", "database", "migrations", "writes"}
# What only SQLite has a word for, but for the default URL and the names of loggers.
OF_SQLITE = re.compile(r"sqlite3|aiosqlite|json_each|instr\(|PRAGMA|qmark|\.dialect\.name|dialect ==")
MAY_NAME_IT = re.compile(r"^    database_url: |^CHATTY = ")
# The explorer is served, and built, with nothing but Python; this one hooks it into the build.
HOOK = Path("schema/graphiql/build.py")
TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "app.py", "resolvers", "schema", "storage", "tests"}
LONGEST = 350


def modules() -> list[Path]:
    found = [path for room in ROOMS for path in ([ROOT / room] if room == "app.py" else (ROOT / room).rglob("*.py"))]
    return sorted(path.relative_to(ROOT) for path in found)


def parsed(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text())


@cache
def imports(module: Path) -> frozenset[str]:
    """Return the full names of what a module imports, at its top or inside a function."""
    names = set[str]()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return frozenset(names)


def offenders(found: Mapping[Path, Collection[Any]]) -> dict[Path, Collection[Any]]:
    """Return the modules in which something was found that should not be there."""
    return {module: things for module, things in found.items() if things}


def private_parts(module: Path) -> list[str]:
    """Return the private attributes that a module reads of anything but `self`."""
    own = {"self", "cls"}
    documented = {"_asdict", "_replace", "_fields"}
    return [
        ast.unparse(node)
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and node.attr not in documented
        if ast.unparse(node.value) not in own
        if not node.attr.startswith("__") or "strawberry" in node.attr
    ]


def is_below(module: Path, paths: tuple[str, ...]) -> bool:
    return any(module.is_relative_to(path) for path in paths)


def is_constant(node: ast.AST, value: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def reads_environment(node: ast.AST) -> bool:
    names = {"environ", "environb", "getenv", "getenvb"}
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in names for alias in node.names)
    return isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "os"


def test_all_rooms_are_looked_at() -> None:
    found = {module.parts[0] for module in modules()}

    assert found == set(ROOMS)


def test_a_room_imports_only_from_rooms_to_its_right() -> None:
    order = [room.removesuffix(".py") for room in ROOMS]
    to_the_left = {room: set(order[:place]) | {"tests", ""} for place, room in enumerate(ROOMS)}

    reached = {
        module: {name.partition(".")[0] for name in imports(module)} & to_the_left[module.parts[0]] for module in modules()
    }

    assert offenders(reached) == {}


@pytest.mark.parametrize(("room", "allowed"), IMPORTS_FROM.items(), ids=IMPORTS_FROM)
def test_a_room_imports_of_ours_only_from_the_rooms_that_it_may_know(room: str, allowed: tuple[str, ...]) -> None:
    inside = [module for module in modules() if is_below(module, (room,))]

    ours = {name for module in inside for name in imports(module) if name.partition(".")[0] in OURS}

    assert inside
    assert {name for name in ours if not f"{name}.".startswith(tuple(f"{room}." for room in allowed))} == set()


def test_private_parts_of_the_libraries_are_touched_in_one_file() -> None:
    outside = [module for module in modules() if module != INTERNALS and is_below(module, ("resolvers", "schema"))]

    deep = {
        module: {name for name in imports(module) if name.startswith(("graphql.", "strawberry."))} - DOCUMENTED
        for module in outside
    }
    by_key = {
        module: [node.lineno for node in ast.walk(parsed(module)) if is_constant(node, "strawberry-definition")]
        for module in outside
    }

    assert outside
    assert offenders(deep) == {}
    assert offenders({module: private_parts(module) for module in outside if module != PROTOCOL}) == {}
    assert offenders(by_key) == {}


def test_a_framework_is_known_only_where_it_belongs() -> None:
    used = {module: {name.partition(".")[0] for name in imports(module)} for module in modules()}

    strangers = {
        module: {name for name in names & ALLOWED_IN.keys() if not is_below(module, ALLOWED_IN[name])}
        for module, names in used.items()
    }

    assert offenders(strangers) == {}


def imports_of_storage(module: Path) -> set[str]:
    """Return the parts of storage that a module imports, each by its first name."""
    names = {name.split(".")[1] for name in imports(module) if name.startswith("storage.")}
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.ImportFrom) and node.module == "storage":
            names |= {alias.name for alias in node.names}
    return names


def test_a_database_is_known_only_in_its_own_folder() -> None:
    folders = {Path(folder).name for folder in DATABASES}
    outside = [module for module in modules() if not is_below(module, DATABASES)]

    named = {
        module: [
            line for line in (ROOT / module).read_text().splitlines() if OF_SQLITE.search(line) and not MAY_NAME_IT.search(line)
        ]
        for module in outside
    }

    assert offenders({module: imports_of_storage(module) & folders for module in outside}) == {PICKS_A_DATABASE: folders}
    assert offenders(named) == {}


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [("storage/queries", UNDER_QUERIES), *((folder, UNDER_A_DATABASE | {Path(folder).name}) for folder in DATABASES)],
)
def test_queries_and_databases_build_on_little_of_storage(folder: str, allowed: set[str]) -> None:
    reached = {module: imports_of_storage(module) - allowed for module in modules() if is_below(module, (folder,))}

    assert {module: names for module, names in reached.items() if names} == {}


def test_queries_are_built_for_no_database() -> None:
    dialects = {
        (module, name)
        for module in modules()
        if is_below(module, ("storage",)) and not is_below(module, DATABASES)
        for name in imports(module)
        if name.startswith("sqlalchemy.dialects")
    }

    assert dialects == set()


@pytest.mark.parametrize("module", [m for m in modules() if is_below(m, ("schema/graphiql",)) and m != HOOK], ids=str)
def test_the_explorer_needs_nothing_but_python(module: Path) -> None:
    used = {name for name in imports(module) if name.partition(".")[0] not in sys.stdlib_module_names}

    assert all(name.startswith("schema.graphiql") for name in used), used


def test_only_the_settings_read_the_environment() -> None:
    readings = {module: [node for node in ast.walk(parsed(module)) if reads_environment(node)] for module in modules()}

    assert offenders(readings).keys() == {Path("schema/server/settings.py")}


def test_a_module_begins_by_saying_what_it_is_for() -> None:
    beginnings = {module: (ast.get_docstring(parsed(module)) or "").partition("\n\n")[0] for module in modules()}

    assert {module: first for module, first in beginnings.items() if not first.endswith((".", ":"))} == {}


@pytest.mark.parametrize(("room", "sentence"), [item for item in ROOMS.items() if item[1]])
def test_a_room_says_what_it_is_for_in_the_words_of_the_plan(room: str, sentence: str) -> None:
    docstring = ast.get_docstring(parsed(Path(room) / "__init__.py"))

    assert docstring == sentence


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {module.parent for module in modules() if module.parent != Path()}

    # Alembic reads its steps as files.
    assert {folder for folder in folders if not (ROOT / folder / "__init__.py").exists()} == {Path("storage/migrations/versions")}


def test_no_module_is_too_long_to_read() -> None:
    lines = {module: (ROOT / module).read_text().count("\n") for module in modules()}

    assert {module: count for module, count in lines.items() if count > LONGEST} == {}


def test_the_top_level_holds_only_what_belongs_there() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no checkout, and only git can tell what belongs to the project from what somebody put beside it")

    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    entries = {name.partition("/")[0] for name in listed.stdout.splitlines()}

    assert {name for name in entries if not name.startswith(".")} == TOP_LEVEL

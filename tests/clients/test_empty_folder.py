"""Whoever begins in an empty folder, with the files that the README links, generates a client by its lines as they stand."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.clients.packages import install, require_node, run
from tests.conftest import ROOT
from tests.test_readme import LINK

pytestmark = pytest.mark.slow

# What an example needs for its day and its type check, and the README's lines are not for.
BESIDE = {"graphql-ws", "tsx", "mypy", "@types/node", "@types/react", "@types/react-dom", "@happy-dom/global-registrator"}
SECTION = (ROOT / "README.md").read_text().partition("\n## Generate a client\n")[2].partition("\n## ")[0]


def copy_linked(beginning: str, folder: Path) -> None:
    """Copy the files that a paragraph links."""
    [paragraph] = [text for text in SECTION.split("\n\n") if text.startswith(beginning)]
    for link in LINK.findall(paragraph):
        shutil.copy(ROOT / link, folder)


def lines_after(beginning: str) -> list[str]:
    """Return what is to be typed after a paragraph."""
    block = re.search(r"^```sh\n(.*?)^```$", SECTION.partition(beginning)[2], re.MULTILINE | re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def packages_of(client: str) -> set[str]:
    """Return the packages that an example depends on."""
    folder = ROOT / "tests/clients" / client
    if not (folder / "package.json").exists():
        return {line.partition("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    manifest = json.loads((folder / "package.json").read_text())
    return {*manifest.get("dependencies", {}), *manifest["devDependencies"]}


@pytest.mark.parametrize(
    ("client", "beginning", "settings", "generated"),
    [
        pytest.param("codegen", "**Your own `fetch`", {}, "generated/graphql.ts", id="codegen"),
        pytest.param("apollo", "**Apollo Client**", {}, "generated/possible-types.ts", id="apollo"),
        pytest.param("urql", "**urql with", {}, "generated/introspection.ts", id="urql"),
        pytest.param("relay", "**Relay.**", {"schema": "schema.graphql"}, "__generated__/VisitsListQuery.graphql.ts", id="relay"),
        pytest.param(
            "ariadne",
            "**Python, typed by ariadne",
            {"schema_path": "schema.graphql", "queries_path": "visits.graphql"},
            "home_visits_client/book_visit.py",
            id="ariadne",
        ),
    ],
)
def test_a_client_is_generated_in_a_folder_that_was_empty(
    client: str,
    beginning: str,
    settings: dict[str, str],
    generated: str,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy_linked("In an empty folder", tmp_path)
    copy_linked(beginning, tmp_path)
    for file in (*tmp_path.glob("*.config.json"), *tmp_path.glob("*.toml")):
        text = file.read_text()
        for name, value in settings.items():
            text = re.sub(rf'^( *"?{name}"?(?:: | = )).*?(,?)$', rf'\1"{value}"\2', text, flags=re.MULTILINE)
        file.write_text(text)
    *installing, generate = lines_after(beginning)

    # One of them with what is newest today, the others with what their example has: a registry is far.
    if client == "codegen":
        require_node()
        for line in installing:
            run("bash", "-c", line, folder=tmp_path)
    else:
        packages = install(ROOT / "tests/clients" / client, pytestconfig.cache.mkdir("clients"))
        (tmp_path / "node_modules").symlink_to(packages / "node_modules")
        monkeypatch.setenv("PATH", str(packages / "bin"), prepend=os.pathsep)
    run("bash", "-c", generate, folder=tmp_path)

    assert (tmp_path / generated).exists()
    named = {word for line in installing for word in line.split()[2:] if not word.startswith("--")}
    assert named == packages_of(client) - BESIDE

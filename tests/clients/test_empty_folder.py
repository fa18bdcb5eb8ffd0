"""Whoever begins in an empty folder, with the files that the README links, generates a client by its lines as they stand."""

import re
import shutil
from pathlib import Path

import pytest

from tests.clients.packages import install, require_node, run
from tests.conftest import ROOT
from tests.test_readme import LINK

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize(
    ("client", "beginning", "generated"),
    [
        pytest.param("codegen", "**Your own `fetch`", ["gql.ts", "graphql.ts", "index.ts"], id="codegen"),
        pytest.param("apollo", "**Apollo Client**", ["gql.ts", "graphql.ts", "index.ts", "possible-types.ts"], id="apollo"),
        pytest.param("urql", "**urql with", ["gql.ts", "graphql.ts", "index.ts", "introspection.ts"], id="urql"),
    ],
)
def test_codegen_finds_all_it_needs_in_a_folder_that_was_empty(
    client: str, beginning: str, generated: list[str], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    require_node()
    copy_linked("In an empty folder", tmp_path)
    copy_linked(beginning, tmp_path)
    *installing, generate = lines_after(beginning)

    # One of them with what is newest today, the others with what their example has: a registry is far.
    if client == "codegen":
        for line in installing:
            run("bash", "-c", line, folder=tmp_path)
    else:
        packages = install(ROOT / "tests/clients" / client, pytestconfig.cache.mkdir("clients"))
        (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    run("bash", "-c", generate, folder=tmp_path)

    assert sorted(file.name for file in (tmp_path / "generated").iterdir()) == generated

"""The audits that the makers of GraphQL over HTTP publish, run against a server of ours."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.schema.transport.http.served import served

SCRIPT = Path(__file__).with_name("audit.mjs")
PACKAGES = ("graphql-http@1.23.1", "graphql@16.12.0")

# What the audits call optional, and what is off here: queries by GET.
LEFT_OUT = {
    "5A70": "MAY accept application/x-www-form-urlencoded formatted GET requests",
    "D6D5": "MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/graphql-response+json",
    "6A70": "MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/json",
}


@pytest.fixture(scope="session")
def modules(pytestconfig: pytest.Config) -> Path:
    """Install the audits once, outside of the checkout's own files."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        pytest.skip("the audits need Node.js and npm")
    folder = Path(str(pytestconfig.cache.mkdir("graphql-http-audits")))
    if not (folder / "node_modules" / "graphql-http").exists():
        command = [npm, "install", "--prefix", str(folder), "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        installed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if installed.returncode:
            pytest.skip(f"npm could not install the audits: {installed.stderr.strip().splitlines()[-1]}")
    return folder


async def test_every_audit_of_graphql_http_passes(modules: Path) -> None:
    async with served() as server:
        url = f"http://127.0.0.1:{server.port}/graphql"
        command = ("node", str(SCRIPT), url, str(modules))
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        results = json.loads(out)

    assert len(results) == 61
    assert {result["id"]: (result["status"], result["name"]) for result in results if result["status"] != "ok"} == {
        id: ("notice", name) for id, name in LEFT_OUT.items()
    }

"""What the README says of running as a service, read back by what it is written for."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import aiohttp
import pytest

from storage.caller import Role
from tests.app.calling import SECRET, call, token
from tests.certificates import certificate
from tests.conftest import ROOT, Server, StartServer, environment
from tests.databases import _free_port
from tests.test_readme import of

SECTION = "Run as a service"
README = (ROOT / "README.md").read_text().partition(f"## {SECTION}\n")[2].partition("\n## ")[0]
QUERY = json.dumps({"query": "{ homeVisits(first: 1) { nodes { id } } }"}).encode()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the program and its environment, where the README has `/srv/visits`."""
    (tmp_path / "app.py").symlink_to(ROOT / "app.py")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


@contextmanager
def started(command: list[str], folder: Path, variables: dict[str, str]) -> Iterator[str]:
    """Run a command that serves; give its line. It must end well when it is told to."""
    with subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process.stderr.readline()
        finally:
            process.terminate()
            code = process.wait(timeout=30)
        assert code == 0


def test_systemd_takes_the_unit_and_its_command_serves(checkout: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze, of Debian's package systemd, reads the unit")
    [example] = of("ini", SECTION)
    unit = checkout / "visits.service"
    unit.write_text(example.text.replace("/srv/visits", str(checkout)))
    parsed: Any = configparser.RawConfigParser(strict=True)
    parsed.optionxform = str
    parsed.read(unit)
    service = parsed["Service"]
    variables = environment(checkout, JWT_SECRET=SECRET)

    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    with started(
        [*shlex.split(service["ExecStart"]), "--port", "0", "--workers", "1"], Path(service["WorkingDirectory"]), variables
    ) as line:
        assert line.startswith("Serving ")

    assert (verified.returncode, [line for line in verified.stderr.splitlines() if "visits.service" in line]) == (0, [])
    assert int(service["TimeoutStopSec"]) > 25


def test_the_container_is_built_of_what_is_there_and_its_commands_serve(checkout: Path) -> None:
    [example] = of("dockerfile", SECTION)
    port = _free_port()
    text = example.text.replace("8080", str(port)).replace("/data", str(checkout))
    steps = [line.split(" ", 1) for line in text.splitlines()]
    commands = {
        name: json.loads(rest[rest.index("[") :].removeprefix("CMD ")) for name, rest in steps if name in {"CMD", "HEALTHCHECK"}
    }
    settings = dict(rest.split("=", 1) for name, rest in steps if name == "ENV")
    variables = environment(checkout, JWT_SECRET=SECRET) | settings

    with started(commands["CMD"], checkout, variables) as line:
        healthy = subprocess.run(commands["HEALTHCHECK"], cwd=checkout, capture_output=True, check=False)
    after = subprocess.run(commands["HEALTHCHECK"], cwd=checkout, capture_output=True, check=False)

    assert line == f"Serving {checkout}/visits.db at http://0.0.0.0:{port}/graphql\n"
    assert (healthy.returncode, after.returncode) == (0, 1)
    assert ",".join(name for name, _ in steps) == "FROM,RUN,WORKDIR,COPY,RUN,USER,VOLUME,ENV,EXPOSE,HEALTHCHECK,CMD"
    assert ".venv/bin/pip install --no-cache-dir -e '.[postgresql]'" in text


class Proxy:
    """nginx as the README sets it up, before one server."""

    def __init__(self, program: str, folder: Path, server: Server) -> None:
        self.port = _free_port()
        self.origin = f"https://127.0.0.1:{self.port}"
        key, signed = certificate("127.0.0.1")
        (folder / "visits.key").write_text(key)
        (folder / "visits.pem").write_text(signed)
        [example] = of("nginx", SECTION)
        text = example.text.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}").replace("443", str(self.port))
        text = text.replace("/etc/ssl", str(folder))
        around = f"daemon off; pid {folder}/pid; error_log stderr; events {{}}"
        (folder / "nginx.conf").write_text(f"{around} http {{ access_log off; client_body_temp_path {folder}/bodies; {text} }}")
        self._command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]

    @contextmanager
    def running(self) -> Iterator[None]:
        with subprocess.Popen(self._command, stderr=subprocess.DEVNULL) as process:
            for _ in range(100):
                try:
                    call_by_tls(self.port, "/")
                    break
                except ConnectionError:
                    time.sleep(0.05)
            try:
                yield
            finally:
                process.terminate()


def call_by_tls(port: int, path: str, *options: str, body: str = "") -> tuple[int, str]:
    """Return the status and the body that curl is answered, from another address of this machine."""
    command = ["curl", "-sk", "--http2", "--interface", "127.0.0.5", "-w", "\n%{http_code} %{http_version}", *options]
    ended = subprocess.run([*command, f"https://127.0.0.1:{port}{path}"], input=body, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ConnectionError(ended.returncode)
    answer, _, last = ended.stdout.rpartition("\n")
    status, version = last.split()
    assert version == "2"
    return int(status), answer


async def test_nginx_passes_on_queries_and_websockets_and_nothing_else(start_server: StartServer, tmp_path: Path) -> None:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program or not shutil.which("curl"):
        pytest.skip("nginx and curl, of Debian's packages nginx-light and curl, try the proxy")
    server = start_server("--demo", JWT_SECRET=SECRET, TRUSTED_PROXIES="127.0.0.1")
    proxy = Proxy(program, tmp_path, server)
    signed_in = f"Authorization: Bearer {token(Role.VIEWER)}"
    posted = ["-H", "Content-Type: application/json", "-H", signed_in, "-d", "@-"]

    with proxy.running():
        status, body = call_by_tls(proxy.port, "/graphql", *posted, body=QUERY.decode())
        refused, _ = call_by_tls(proxy.port, "/graphql", *posted, body=" " * 300_000 + QUERY.decode())
        inside = [call_by_tls(proxy.port, path)[0] for path in ("/metrics", "/readyz", "/healthz")]
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                f"https://127.0.0.1:{proxy.port}/graphql", protocols=["graphql-transport-ws"], ssl=False
            ) as socket,
        ):
            await socket.send_json({"type": "connection_init", "payload": {"Authorization": signed_in.partition(": ")[2]}})
            acknowledged = (await socket.receive_json(timeout=10))["type"]
    server.stop()

    assert (status, len(json.loads(body)["data"]["homeVisits"]["nodes"])) == (200, 1)
    assert (refused, inside, acknowledged) == (413, [404, 404, 404], "connection_ack")
    lines = map(json.loads, server.log.read_text().splitlines())
    assert {line["client"] for line in lines if line.get("type") == "query"} == {"127.0.0.5"}


def test_what_to_alarm_on_is_there(start_server: StartServer) -> None:
    server = start_server("--demo", JWT_SECRET=SECRET)
    named = re.findall(r"^\| `(home_visits_\w+|/readyz)` \|", README, re.MULTILINE)
    signed_in = {"Authorization": f"Bearer {token(Role.ADMIN)}"}

    urlopen(Request(server.url, QUERY, {"Content-Type": "application/json"} | signed_in))  # noqa: S310 - our own server
    metrics = call(server.port, "GET", "/metrics", headers=signed_in).body.decode()
    exported = {line.split()[2] for line in metrics.splitlines() if line.startswith("# TYPE")}

    assert len(named) == 11
    assert set(named) - exported == {"/readyz"}
    assert call(server.port, "GET", "/readyz").status == 200

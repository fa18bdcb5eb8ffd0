"""A bench for an example client: a copy of it beside the schema, as in a checkout, to be changed, generated, checked and run."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.clients.packages import install

ROOT = Path(__file__).parents[2]
PATIENCE = 120
GENERATED = ("node_modules", "generated", "__generated__", "home_visits_client", "dist", ".mypy_cache", "__pycache__")

PutOnBench = Callable[[str], Awaitable["Bench"]]


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Bench:
    """A folder of the examples, and what it depends on."""

    root: Path
    folder: Path
    packages: Path

    async def start(self, command: str, stdin: int | None = None, **settings: str) -> asyncio.subprocess.Process:
        """Start a command in the folder, with the programs that it depends on."""
        programs = [self.packages / "bin", self.packages / "node_modules" / ".bin"]
        path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        return await asyncio.create_subprocess_exec(
            *command.split(),
            cwd=self.folder,
            env=os.environ | {"PATH": path, "npm_config_loglevel": "error"} | settings,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that what it starts can be ended with it
        )

    async def run(self, command: str, **settings: str) -> Ran:
        """Run a command to its end."""
        process = await self.start(command, **settings)
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
        return Ran(process.returncode or 0, out.decode(), err.decode())

    async def succeed(self, command: str, **settings: str) -> None:
        """Run a command that must end well."""
        ran = await self.run(command, **settings)
        assert ran.code == 0, f"{command} ended with {ran.code}\n{ran.out}\n{ran.err}"

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text that a file, named from the root, holds exactly once."""
        text = (self.root / file).read_text()
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
        (self.root / file).write_text(text.replace(old, new))


async def put_on_bench(folder: str, root: Path, cache: Path) -> Bench:
    """Copy the examples and the schema to `root`, and install what one folder depends on."""
    shutil.copytree(ROOT / "tests" / "clients", root / "tests" / "clients", ignore=shutil.ignore_patterns(*GENERATED))
    (root / "schema").mkdir()
    shutil.copy(ROOT / "schema" / "schema.graphql", root / "schema")
    copied = root / "tests" / "clients" / folder
    packages = await asyncio.to_thread(install, copied, cache)
    if (packages / "node_modules").exists():
        (copied / "node_modules").symlink_to(packages / "node_modules")
    return Bench(root, copied, packages)

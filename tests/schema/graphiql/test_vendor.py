import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from schema.graphiql import vendor
from schema.graphiql.vendor import FILES, AssetsUnavailable, assets_present, fetch

CHECKOUT = Path(__file__).parents[3]

needs_assets = pytest.mark.skipif(not assets_present(), reason="the explorer's files are not here: python -m schema.graphiql")


@pytest.fixture
def empty_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assets = tmp_path / "assets"
    monkeypatch.setattr(vendor, "ASSETS", assets)
    return assets


def put_npm_on_the_path(folder: Path, contents: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `npm pack` hand out these files by package, with no registry behind it."""
    packed = folder / "packed"
    packed.mkdir()
    for package, files in contents.items():
        with tarfile.open(packed / vendor._archive_name(package), "w:gz") as archive:
            for path, content in files.items():
                member = tarfile.TarInfo(f"package/{path}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\nexec /bin/cp {packed}/* .\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def by_package(content_of: dict[str, bytes]) -> dict[str, dict[str, bytes]]:
    packages: dict[str, dict[str, bytes]] = {}
    for file in FILES:
        packages.setdefault(file.package, {})[file.path] = content_of[file.name]
    return packages


@needs_assets
def test_the_files_are_those_of_the_exact_versions(tmp_path: Path, empty_assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = {file.name: (CHECKOUT / "schema/graphiql/assets" / file.name).read_bytes() for file in FILES}
    put_npm_on_the_path(tmp_path, by_package(genuine), monkeypatch)

    fetch()

    assert {file.name: (empty_assets / file.name).read_bytes() for file in FILES} == genuine
    assert assets_present()


def test_a_file_other_than_expected_is_refused_and_nothing_kept(
    tmp_path: Path, empty_assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = {file.name: b"alert(1)" for file in FILES}
    put_npm_on_the_path(tmp_path, by_package(forged), monkeypatch)

    with pytest.raises(AssetsUnavailable, match=r"^graphiql\.min\.css of graphiql@3\.9\.0 is not the file expected$"):
        fetch()

    assert not empty_assets.exists()


@needs_assets
def test_files_that_are_there_are_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    fetch()

    assert assets_present()


@pytest.mark.usefixtures("empty_assets")
def test_without_npm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(AssetsUnavailable, match=r"^there is no npm on this machine: install Node\.js$"):
        fetch()


@pytest.mark.usefixtures("empty_assets")
def test_where_npm_fails_it_says_what_npm_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ECONNREFUSED' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(AssetsUnavailable, match=r"^npm could not bring them \(npm error code ECONNREFUSED\)$"):
        fetch()


@needs_assets
def test_a_wheel_takes_the_files_along(tmp_path: Path) -> None:
    build_wheel(CHECKOUT, tmp_path)

    names = names_in_wheel(tmp_path)
    assert {f"schema/graphiql/assets/{file.name}" for file in FILES} <= names
    assert {"schema/graphiql/page.html", "schema/graphiql/explorer.js", "schema/graphiql/examples/5-book-visit.json"} <= names
    assert "schema/graphiql/build.py" not in names


def test_without_npm_a_wheel_is_built_all_the_same_and_says_what_it_lacks(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "schema", checkout / "schema", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "app.py"):
        shutil.copy(CHECKOUT / name, checkout)

    output = build_wheel(checkout, tmp_path, PATH="")

    assert "Installing without the explorer's files: there is no npm on this machine: install Node.js." in output
    assert "Later: python -m schema.graphiql" in output
    assert [name for name in names_in_wheel(tmp_path) if "/assets/" in name] == []


def build_wheel(checkout: Path, folder: Path, **environment: str) -> str:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(
        command, cwd=checkout, env=os.environ | environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert built.returncode == 0, built.stderr
    return " ".join((built.stdout + built.stderr).split())


def names_in_wheel(folder: Path) -> set[str]:
    [wheel] = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())

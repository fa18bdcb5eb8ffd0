import json
import re
from pathlib import Path

import pytest

from schema.graphiql import asset, assets_present, content_security_policy, examples, explorer, page, vendor
from schema.graphiql.vendor import SCRIPTS, STYLES


def test_the_offline_page_names_nothing_outside_the_server() -> None:
    html = page(offline=True, demo=True).body.decode()

    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)

    assert [address for address in addresses if not address.startswith("graphql/assets/")] == []
    assert "//" not in html


def test_every_file_the_offline_page_names_is_one_we_serve() -> None:
    html = page(offline=True, demo=True).body.decode()

    names = re.findall(r'(?:src|href)="graphql/assets/([^"]+)"', html)

    assert len(names) == 9
    assert [name for name in names if asset(name) is None] == []


def test_the_cdn_page_lets_in_only_the_very_files_we_know() -> None:
    html = page(offline=False, demo=True).body.decode()

    tags = re.findall(r'<(?:link|script)[^>]+"https:[^>]+>', html)

    assert len(tags) == 6
    for file, tag in zip(STYLES + SCRIPTS, tags, strict=True):
        assert f'"{file.cdn_url}" integrity="sha384-{file.sha384}" crossorigin="anonymous"' in tag


def test_the_cdn_page_says_how_to_have_one_that_needs_no_internet() -> None:
    notice = '<p class="notice">GraphiQL comes from cdn.jsdelivr.net.'

    assert notice in page(offline=False, demo=True).body.decode()
    assert notice not in page(offline=True, demo=True).body.decode()


def test_without_its_files_the_explorer_asks_no_cdn_but_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vendor, "ASSETS", tmp_path)

    served = explorer(dev=False, demo=False)

    html = served.body.decode()
    assert "run <code>python -m schema.graphiql</code> and restart the server." in html
    assert "//" not in html
    assert "<script" not in html
    assert served.headers["Content-Security-Policy"] == content_security_policy(offline=True)


def test_in_development_a_cdn_stands_in_for_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "ASSETS", tmp_path)

    assert explorer(dev=True, demo=True) == page(offline=False, demo=True)


@pytest.mark.skipif(not assets_present(), reason="the explorer's files are not here: python -m schema.graphiql")
@pytest.mark.parametrize("dev", [False, True])
def test_the_explorer_is_laid_out_from_the_files_that_are_here(dev: bool) -> None:
    assert explorer(dev=dev, demo=False) == page(offline=True, demo=False)


def test_a_page_runs_no_script_but_the_servers_own() -> None:
    policy = content_security_policy(offline=True)

    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-Y/huXlwoYkVyQlxwSVcCi1RCDGDCSVBzDt0hYP9qlTc='; "
        "font-src data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert page(offline=True, demo=True).headers["Content-Security-Policy"] == policy


def test_the_examples_travel_in_the_page_and_cannot_end_their_element() -> None:
    html = page(offline=True, demo=True).body.decode()

    [block] = re.findall(r'<script id="examples" type="application/json">(.*)</script>', html)

    assert "<" not in block
    assert json.loads(block) == [{"query": example.query, "variables": example.variables} for example in examples()]


@pytest.mark.parametrize("name", ["../page.html", "build.py", "/etc/passwd", "LICENSE.react", "", "explorer.js/"])
def test_nothing_else_of_the_folder_is_served(name: str) -> None:
    assert asset(name) is None

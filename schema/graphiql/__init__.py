"""The explorer: GraphiQL from this machine's own files, with example operations that stand ready to run."""

import json
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from schema.graphiql.vendor import ASSETS, SCRIPTS, STYLES, VendoredFile, assets_present

__all__ = [
    "Asset",
    "Example",
    "Page",
    "asset",
    "assets_present",
    "content_security_policy",
    "examples",
    "explorer",
    "new_tab",
    "page",
]

_HERE = Path(__file__).parent


class Page(NamedTuple):
    """What `GET /graphql` answers a browser with."""

    body: bytes
    headers: dict[str, str]


class Asset(NamedTuple):
    """A file of the page, and the headers it is served with. Beside a large one lies its `.gz`."""

    path: Path
    headers: dict[str, str]


class Example(NamedTuple):
    """One tab: an operation and its variables, in which `<words>` stand for what explorer.js fills in."""

    query: str
    variables: str


# The one style sheet that GraphiQL writes into the page: while a dialog is open, what lies behind does not scroll.
_DIALOG_STYLE = "'sha256-Y/huXlwoYkVyQlxwSVcCi1RCDGDCSVBzDt0hYP9qlTc='"

# The names of others' files contain their version; browsers must revalidate ours.
_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_REVALIDATED = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_OURS = ("explorer.css", "explorer.js", "accessibility.js", "examples.js", "kept.js", "subscriptions.js", "icon.svg")
_ASSETS = {
    **{file.name: Asset(ASSETS / file.name, _IMMUTABLE) for file in STYLES + SCRIPTS},
    **{name: Asset(_HERE / name, _REVALIDATED) for name in _OURS},
}


def explorer(*, dev: bool, demo: bool) -> Page:
    """Lay out the explorer. Without its files, only in development does a CDN stand in for them; else it says how to get them."""
    offline = assets_present()
    if offline or dev:
        return page(offline=offline, demo=demo)
    return Page((_HERE / "missing.html").read_bytes(), _page_headers(offline=True))


def page(*, offline: bool, demo: bool) -> Page:
    """Lay out the explorer. Unless `offline`, a CDN brings GraphiQL; in a `demo` the examples are filled with visits at hand."""
    template = Template((_HERE / "page.html").read_text(encoding="utf-8"))
    body = template.substitute(
        styles="\n".join(_style(file, offline) for file in STYLES),
        scripts="\n".join(_script(file, offline) for file in SCRIPTS),
        cdn_notice_hidden=" hidden" if offline else "",
        demo="true" if demo else "false",
        examples=_data_block([example._asdict() for example in examples()]),
        new_tab=_data_block(new_tab()),
    )
    return Page(body.encode(), _page_headers(offline=offline))


def examples() -> list[Example]:
    """List the example operations, in the order of their tabs."""
    return [
        Example(query.read_text(encoding="utf-8").strip(), query.with_suffix(".json").read_text(encoding="utf-8").strip())
        for query in sorted((_HERE / "examples").glob("*.graphql"))
    ]


def new_tab() -> str:
    """Return the document that a new tab starts with."""
    return (_HERE / "new_tab.graphql").read_text(encoding="utf-8")


def asset(name: str) -> Asset | None:
    """Find what is behind `/graphql/assets/<name>`."""
    return _ASSETS.get(name)


def _style(file: VendoredFile, offline: bool) -> str:
    return f'<link rel="stylesheet" href="{_source(file, offline)}" {_integrity(file, offline)}>'


def _script(file: VendoredFile, offline: bool) -> str:
    return f'<script defer src="{_source(file, offline)}" {_integrity(file, offline)}></script>'


def _source(file: VendoredFile, offline: bool) -> str:
    return escape(f"graphql/assets/{file.name}" if offline else file.cdn_url)


def _integrity(file: VendoredFile, offline: bool) -> str:
    return f'integrity="{file.integrity}"' + ("" if offline else ' crossorigin="anonymous"')


def _data_block(value: object) -> str:
    # Nothing in it may end the script element that holds it.
    return json.dumps(value).replace("<", "\\u003c")


def _page_headers(*, offline: bool) -> dict[str, str]:
    return {
        "Content-Security-Policy": content_security_policy(offline=offline),
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def content_security_policy(*, offline: bool) -> str:
    """Allow this server and, unless `offline`, the very files of the CDN. GraphiQL's style sheet carries its fonts and icons."""
    scripts, styles = (() if offline else tuple(file.cdn_url for file in files) for files in (SCRIPTS, STYLES))
    directives = {
        "default-src": ("'none'",),
        "script-src": ("'self'", *scripts),
        "style-src": ("'self'", _DIALOG_STYLE, *styles),
        "font-src": ("data:",),
        "img-src": ("'self'", "data:"),
        "connect-src": ("'self'",),
        "base-uri": ("'none'",),
        "form-action": ("'none'",),
        "frame-ancestors": ("'none'",),
    }
    return "; ".join(" ".join((name, *sources)) for name, sources in directives.items())

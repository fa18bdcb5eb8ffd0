"""The files of others that the explorer is made of: exact versions, what they must hash to, and how npm brings them."""

import base64
import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

ASSETS = Path(__file__).with_name("assets")

# Left to itself, npm waits for minutes where packets are dropped.
_NPM_PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000")
_NPM_SECONDS = 120


class VendoredFile(NamedTuple):
    """One file of an npm package, identified by its SHA-384, the digest that a browser checks a CDN's copy against, too."""

    package: str
    path: str
    name: str
    sha384: str

    @property
    def integrity(self) -> str:
        return f"sha384-{self.sha384}"

    @property
    def cdn_url(self) -> str:
        return f"https://cdn.jsdelivr.net/npm/{self.package}/{self.path}"


STYLES = (
    VendoredFile(
        "graphiql@3.9.0",
        "graphiql.min.css",
        "graphiql-3.9.0.min.css",
        "QMux00XgRtwRLSYIY3kw2rj1ovk5AuuliAchk+HSQbqdbGFnz9GYuqIlOqxhwCE2",
    ),
    VendoredFile(
        "@graphiql/plugin-explorer@1.0.2",
        "dist/style.css",
        "plugin-explorer-1.0.2.css",
        "5DFJlDPW2tSATRbM8kzoP1j194jexLswuNmClWoRr2Q0x7R68JIQzPHZ02Faktwi",
    ),
)

# In the order they must run.
SCRIPTS = (
    VendoredFile(
        "react@18.3.1",
        "umd/react.production.min.js",
        "react-18.3.1.min.js",
        "DGyLxAyjq0f9SPpVevD6IgztCFlnMF6oW/XQGmfe+IsZ8TqEiDrcHkMLKI6fiB/Z",
    ),
    VendoredFile(
        "react-dom@18.3.1",
        "umd/react-dom.production.min.js",
        "react-dom-18.3.1.min.js",
        "gTGxhz21lVGYNMcdJOyq01Edg0jhn/c22nsx0kyqP0TxaV5WVdsSH1fSDUf5YJj1",
    ),
    VendoredFile(
        "graphiql@3.9.0",
        "graphiql.min.js",
        "graphiql-3.9.0.min.js",
        "8NGfVj4CVlqHajlZj+bPJT4thxPMHMJYn7DWK2CvtopLd02E7qsPHazniBYvVjOO",
    ),
    VendoredFile(
        "@graphiql/plugin-explorer@1.0.2",
        "dist/index.umd.js",
        "plugin-explorer-1.0.2.js",
        "2oonKe47vfHIZnmB6ZZ10vl7T0Y+qrHQF2cmNTaFDuPshpKqpUMGMc9jgj9MLDZ9",
    ),
)

# The plugin ships no license text: its wrapper is under GraphiQL's, and what it wraps under the very text that React has.
LICENSES = (
    VendoredFile(
        "graphiql@3.9.0", "LICENSE", "LICENSE.graphiql", "9JPX1agGTIUB7wtQt2kO3PUO7clmCJp+9e50VMjw1yd8briI77AZnMDBz5VcerBH"
    ),
    VendoredFile("react@18.3.1", "LICENSE", "LICENSE.react", "dIN5gxuW3odCH42AKpxql36fRQlrVsjCi4EJgGC2Ty8Ihkcq9cdrChEZpKhSAfks"),
)

FILES = STYLES + SCRIPTS + LICENSES


class AssetsUnavailable(Exception):
    """npm is missing, did not bring the files in time, or brought others."""


def assets_present() -> bool:
    return all(_is_genuine(file, ASSETS / file.name) for file in FILES)


def fetch() -> None:
    """Bring the files into `ASSETS`, unless they are there. Raise `AssetsUnavailable` where that cannot be done."""
    if assets_present():
        return

    npm = shutil.which("npm")
    if npm is None:
        raise AssetsUnavailable("there is no npm on this machine: install Node.js")

    with tempfile.TemporaryDirectory() as folder:
        _pack(npm, Path(folder))
        contents = _contents(Path(folder))
    _keep(contents)


def _is_genuine(file: VendoredFile, copy: Path) -> bool:
    return copy.is_file() and _sha384(copy.read_bytes()) == file.sha384


def _sha384(content: bytes) -> str:
    return base64.b64encode(hashlib.sha384(content).digest()).decode()


def _pack(npm: str, folder: Path) -> None:
    packages = sorted({file.package for file in FILES})
    command = [npm, "pack", *packages, "--ignore-scripts", "--loglevel=error", *_NPM_PATIENCE]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_NPM_SECONDS)  # noqa: S603 - nothing of it is input
    except subprocess.CalledProcessError as failure:
        raise AssetsUnavailable(f"npm could not bring them ({failure.stderr.partition(chr(10))[0]})") from failure
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise AssetsUnavailable(f"npm could not bring them ({failure})") from failure


def _contents(folder: Path) -> dict[VendoredFile, bytes]:
    contents = {file: _unpacked(file, folder / _archive_name(file.package)) for file in FILES}
    for file, content in contents.items():
        if _sha384(content) != file.sha384:
            raise AssetsUnavailable(f"{file.path} of {file.package} is not the file expected")
    return contents


def _unpacked(file: VendoredFile, archive: Path) -> bytes:
    try:
        with tarfile.open(archive) as packed:
            member = packed.extractfile(f"package/{file.path}")
            return member.read() if member else b""
    except (OSError, KeyError, tarfile.TarError) as failure:
        raise AssetsUnavailable(f"{file.path} is not in what npm brought of {file.package}") from failure


def _archive_name(package: str) -> str:
    """`@scope/name@version` is packed as `scope-name-version.tgz`."""
    name, _, version = package.rpartition("@")
    return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"


def _keep(contents: dict[VendoredFile, bytes]) -> None:
    try:
        ASSETS.mkdir(exist_ok=True)
        for file, content in contents.items():
            if file not in LICENSES:
                (ASSETS / f"{file.name}.gz").write_bytes(gzip.compress(content, mtime=0))
            (ASSETS / file.name).write_bytes(content)
    except OSError as failure:
        raise AssetsUnavailable(f"they cannot be written: {failure}") from failure

"""List what changed in the API between two releases, from their SDL, as Markdown for the change log.

`python .github/changes.py` compares the last release with the working tree, `python .github/changes.py v1.0.0` another tag or
commit, `python .github/changes.py v1.0.0 v1.1.0` two of them. Exits with 1 where that is against the
policy, and says on standard error what is.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from graphql import (
    GraphQLNamedType,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_introspection_type,
    is_object_type,
    is_specified_scalar_type,
)

ROOT = Path(__file__).parents[1]
SDL = "schema/schema.graphql"
PROJECT = "pyproject.toml"
HALF_A_YEAR = timedelta(days=182)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
# The commit of 1.0.0, which has no tag.
FIRST = "1249a60335c4afdb47c02a501fe338c1584c87fa"
# Of each part by its coordinates, why it is deprecated; None where it is not.
Reasons = dict[str, str | None]


class Release(NamedTuple):
    """The SDL of a version that came out on a day."""

    major: int
    day: date
    sdl: str


class Changes(NamedTuple):
    """Lines of the change log, and what is against the policy."""

    breaking: list[str]
    deprecated: list[str]
    added: list[str]
    careful: list[str]
    offences: list[str]

    def markdown(self) -> str:
        titles = {"Breaking": self.breaking, "Deprecated": self.deprecated, "Added": self.added, "To be handled": self.careful}
        sections = [f"### {title}\n\n" + "".join(f"- {line}\n" for line in lines) for title, lines in titles.items() if lines]
        return "\n".join(sections) or "The API is the same.\n"


def changes(old: Release, new: Release) -> Changes:
    schemas = build_schema(old.sdl), build_schema(new.sdl)
    before, after = ({name: reason for type in schema.type_map.values() for name, reason in parts(type)} for schema in schemas)
    breaking = [change.description for change in find_breaking_changes(*schemas)]
    careful = [change.description for change in find_dangerous_changes(*schemas)]
    deprecated = {name: reason for name, reason in after.items() if reason and day_in(before.get(name)) == date.max}
    # The parts of a new type come with it.
    added = [name for name in after if name not in before and (name.partition(".")[0] in before or "." not in name)]
    offences = [f"Within a major version: {line}" for line in breaking] if old.major == new.major else []
    offences += broken_promises(before, after, new.day)
    lines = [f"`{name}`: {reason}" for name, reason in deprecated.items()]
    return Changes(breaking, lines, [f"`{name}`" for name in added], careful, offences)


def broken_promises(before: Reasons, after: Reasons, today: date) -> Iterator[str]:
    """Yield what goes sooner than it may, or will: of what has been deprecated, a day may be put off, not brought forward."""
    for name, reason in before.items():
        if name not in after and day_in(reason) > today:
            yield f"{name} was removed before its time."
    for name, reason in after.items():
        promised = day_in(before.get(name))
        if reason is None or promised <= day_in(reason) < date.max:
            continue
        if promised < date.max:
            yield f"{name} stays until {promised}: its reason may name a later day, but must not name an earlier one or none."
        elif not today + HALF_A_YEAR <= day_in(reason) < date.max:
            yield f"{name} is deprecated without a day in its reason, half a year after {today} at least."


def parts(type: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    """Yield the coordinates of a type and of what is in it, each with the reason of its deprecation."""
    if is_introspection_type(type) or is_specified_scalar_type(type):
        return
    yield type.name, None
    if is_enum_type(type):
        yield from ((f"{type.name}.{name}", value.deprecation_reason) for name, value in type.values.items())
    if is_object_type(type) or is_interface_type(type) or is_input_object_type(type):
        for name, field in type.fields.items():
            yield f"{type.name}.{name}", field.deprecation_reason
            for argument, its in getattr(field, "args", {}).items():
                yield f"{type.name}.{name}({argument}:)", its.deprecation_reason


def day_in(reason: str | None) -> date:
    """Return the day before which a deprecated part stays; where the reason names none, it stays for ever."""
    found = DAY.search(reason or "")
    return date.fromisoformat(found[0]) if found else date.max


def last_release(before: str = "HEAD") -> str:
    """Return the tag of the release that a commit comes after, or the commit of the first."""
    tags = _git("tag", "--list", "v*", "--merged", before, "--sort=-version:refname").split()
    return tags[0] if tags else FIRST


def release_of(name: str) -> Release:
    """Read a release by its tag, or by its commit. It came out when it was tagged, which may be long after its commit."""
    day = _git("for-each-ref", "--format=%(creatordate:short)", f"refs/tags/{name}") or _git("log", "-1", "--format=%cs", name)
    version = version_in(_git("show", f"{name}:{PROJECT}"))
    return Release(_major(version), date.fromisoformat(day.strip()), _git("show", f"{name}:{SDL}"))


def working_tree() -> Release:
    version = version_in((ROOT / PROJECT).read_text(encoding="utf-8"))
    return Release(_major(version), datetime.now(UTC).date(), (ROOT / SDL).read_text(encoding="utf-8"))


def version_in(project_file: str) -> str:
    return str(tomllib.loads(project_file)["project"]["version"])


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _git(*command: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True, check=True).stdout  # noqa: S603, S607 - a maintainer's own words


if __name__ == "__main__":
    old, *later = map(release_of, sys.argv[1:] or [last_release()])
    found = changes(old, *(later or [working_tree()]))
    sys.stdout.write(found.markdown())
    sys.exit("\n".join(found.offences) or 0)

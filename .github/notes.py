"""Print the notes of a release: its section of the change log, and what changed in the API since the release before.

`python .github/notes.py v1.1.0`, in a checkout of that tag. Exits with 1, and says on standard error why, where the tag is not
the project's version, the change log has no such section, or the API changed against the policy: then it is not released.
"""

import re
import sys

from changes import PROJECT, ROOT, changes, last_release, release_of, version_in


def notes(tag: str) -> str:
    version = version_in((ROOT / PROJECT).read_text(encoding="utf-8"))
    if tag != f"v{version}":
        sys.exit(f"{PROJECT} has version {version}, the tag is {tag}.")
    section = section_of(version)
    if not section:
        sys.exit(f".github/CHANGELOG.md says nothing of {version}.")
    found = changes(release_of(last_release(f"{tag}^")), release_of(tag))
    if found.offences:
        sys.exit("\n".join(found.offences))
    return f"{section}\n\n## The API\n\n{found.markdown()}"


def section_of(version: str) -> str:
    log = (ROOT / ".github/CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(version)}\n(.*?)(?=^## |\Z)", log, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


if __name__ == "__main__":
    sys.stdout.write(notes(*sys.argv[1:]))

"""`python -m schema.graphiql` brings the explorer's files, for an installation made without npm."""

import sys

from schema.graphiql.vendor import ASSETS, AssetsUnavailable, fetch

try:
    fetch()
except AssetsUnavailable as reason:
    sys.exit(f"The explorer's files were not fetched: {reason}.")
print(f"The explorer's files are in {ASSETS}.")  # noqa: T201 - a command says what it did

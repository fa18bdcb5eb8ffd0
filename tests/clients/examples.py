"""The example clients, with the commands that a reader types in the folder of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A folder, and how what is in it is generated, type-checked and run; `live` runs a list that updates itself."""

    folder: str
    generate: str
    check: str
    run: str
    live: str = ""


CODEGEN = Example("codegen", "npm run generate", "npm run check", "npm run --silent start", "npm run --silent live")
RELAY = Example("relay", "npm run generate", "npm run check", "npm run --silent start", "npm run --silent live")
APOLLO = Example("apollo", "npm run generate", "npm run check", "npm run --silent start", "npm run --silent live")
URQL = Example("urql", "npm run generate", "npm run check", "npm run --silent start", "npm run --silent live")
ARIADNE = Example("ariadne", "ariadne-codegen", "mypy .", "python -W error screen.py")
# gql generates nothing: `true` is the command that does it.
GQL = Example("gql", "true", "mypy .", "python -W error screen.py", "python -W error live.py")

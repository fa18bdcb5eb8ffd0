"""Every sentence of our own that an answer may have, found where it is written: values in it are told as 7."""

import ast
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

# Where errors that clients are told are made, and by which calls: the message is one of the arguments.
SOURCES = {
    "resolvers/auth.py": {"Forbidden", "__init__"},
    "resolvers/errors.py": {"GraphQLError"},
    "resolvers/tokens.py": {"Forbidden", "Unauthenticated"},
    "resolvers/outcomes.py": set(),
    "schema/execution/*.py": {"GraphQLError"},
    "schema/transport/**/*.py": {"GraphQLError", "Refusal", "bad_request"},
    "schema/scalars.py": {"ValueError"},
    "storage/errors.py": {"__init__"},
    "storage/**/*.py": {"InvalidPage", "Problem"},
}
# Sentences that have a name, or a table of their own.
NAMED = {"message", "labels", "MASKED", "_REFUSALS", "_SENTENCES", "_UNREADABLE", "_UNKNOWN_KEY"}
NAMED |= {"DONE_MESSAGE", "KEY_MESSAGE", "VERSION_MESSAGE"}


class Message(NamedTuple):
    place: str
    text: str


def messages() -> list[Message]:
    # What another test left behind must not be collected in the middle of a parse: CPython 3.11 takes that for endless recursion.
    gc.collect()
    found = []
    for pattern, makers in SOURCES.items():
        for path in sorted(ROOT.glob(pattern)):
            for node in ast.walk(ast.parse(path.read_text())):
                for part in _message_parts(node, makers):
                    found += [Message(f"{path.relative_to(ROOT)}:{part.lineno}", text) for text in _texts(part)]
    return sorted(set(found))


def _message_parts(node: ast.AST, makers: set[str]) -> list[ast.expr]:
    """Return what holds a message: arguments of a call, a named value, the docstring of a refusal."""
    match node:
        # The answer to an exception is masked, whatever stands there.
        case ast.Call(keywords=keywords) if "original_error" in {keyword.arg for keyword in keywords}:
            return []
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in makers:
            return node.args
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if name in NAMED and node.value:
            return [node.value]
        case ast.ClassDef(body=[ast.Expr(value=docstring), *_]) if _sends_its_docstring(node):
            return [docstring]
    return []


def _sends_its_docstring(refusal: ast.ClassDef) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "__doc__" for node in ast.walk(refusal))


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the sentences in an expression: a word alone is a code or a name."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
        yield node.value
    elif not isinstance(node, ast.Constant):
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)

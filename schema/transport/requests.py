"""Requests of every transport: the members of a JSON object, and the stored documents that they may name instead of a text."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

from schema.execution.engine import Request
from schema.transport.errors import PersistedQueryError, RequestError, bad_request

_HASH_PREFIX = "sha256:"


class TrustedDocuments:
    """An operator's list of the only documents that run, found by the hash of their text, with or without `sha256:`."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._documents = {id.removeprefix(_HASH_PREFIX): document for id, document in documents.items()}
        self._queries: dict[str, frozenset[str | None]] = {}
        self._texts = frozenset(documents.values())

    @classmethod
    def read(cls, path: Path) -> "TrustedDocuments":
        """Read a JSON file of hash to document; raise ValueError where it is none."""
        try:
            documents = json.loads(path.read_bytes())
        except OSError as error:
            raise ValueError(f"The trusted documents cannot be read: {error}.") from None
        except ValueError:
            documents = None
        if not isinstance(documents, dict) or not all(isinstance(text, str) for text in documents.values()):
            raise ValueError(f"{path} is no JSON object of hash to document, both strings.")
        return cls(documents)

    def __contains__(self, document: str) -> bool:
        return document in self._texts

    def find(self, document_id: str) -> str | None:
        return self._documents.get(document_id.removeprefix(_HASH_PREFIX))

    def is_query(self, document: str, operation_name: str | None) -> bool:
        """Tell whether a document of the list runs a query, which changes nothing."""
        if document not in self._queries:
            self._queries[document] = _queries(document)
        return operation_name in self._queries[document]


def request_of(members: dict[str, Any], trusted: TrustedDocuments | None) -> Request:
    """Return the request that the members of a JSON object make. Raises RequestError: 400, or 403 where others are trusted."""
    query, variables = members.get("query"), members.get("variables")
    if trusted is None and type(query) is str and query and type(variables) is dict and len(members) == 2:
        return Request(query, None, variables)
    extensions = _object(members, "extensions")
    document = _document(members, extensions, trusted)
    operation_name = _optional(members, "operationName", str, "a string") or None
    return Request(document, operation_name, _object(members, "variables"), reports_cost=extensions.get("cost") is True)


def _document(members: dict[str, Any], extensions: dict[str, Any], trusted: TrustedDocuments | None) -> str:
    document_id = _optional(members, "documentId", str, "a string")
    document: str | None = _optional(members, "query", str, "a string")
    if document_id is not None and document is not None:
        raise bad_request("Send `query` or `documentId`, not both.")
    if document_id is not None:
        return _trusted_document(document_id, trusted)
    if "persistedQuery" in extensions and (trusted is not None or not document):
        return _persisted_query(extensions["persistedQuery"], document, trusted)
    if not document:
        raise bad_request("`query` is missing: send the text of a GraphQL document.")
    return _if_trusted(document, trusted)


def _trusted_document(document_id: str, trusted: TrustedDocuments | None) -> str:
    document = trusted.find(document_id) if trusted else None
    if document is None:
        raise bad_request("`documentId` names no document that is known here. Register it first, or send it as `query`.")
    return document


def _persisted_query(persisted: Any, text: str | None, trusted: TrustedDocuments | None) -> str:
    """Return the document that a hash names, as clients with automatic persisted queries send it, alone or with the text."""
    if trusted is None:
        raise PersistedQueryError("PERSISTED_QUERY_NOT_SUPPORTED")
    hash = persisted.get("sha256Hash") if isinstance(persisted, dict) and persisted.get("version") == 1 else None
    if not isinstance(hash, str):
        raise bad_request("Send `extensions.persistedQuery` with `version` 1 and the document's hash as `sha256Hash`.")
    document = trusted.find(hash)
    if not text:
        if document is None:
            raise PersistedQueryError("PERSISTED_QUERY_NOT_FOUND")
        return document
    if text != document and hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != hash.lower():
        raise bad_request("`sha256Hash` is the hash of another document than `query`. Send one of them, or both of one document.")
    return _if_trusted(text, trusted)


def _if_trusted(document: str, trusted: TrustedDocuments | None) -> str:
    if trusted is not None and document not in trusted:
        raise RequestError(
            "FORBIDDEN", "Only trusted documents run here. Register this one, or ask for another by its `documentId`."
        )
    return document


def _queries(document: str) -> frozenset[str | None]:
    """Return the names that run a query of this document: None is one where it has no other operation."""
    try:
        operations = [part for part in parse(document).definitions if isinstance(part, OperationDefinitionNode)]
    except GraphQLError:
        return frozenset()
    names: list[str | None] = [
        operation.name.value if operation.name else None for operation in operations if operation.operation is OperationType.QUERY
    ]
    return frozenset([*names, None] if len(operations) == len(names) == 1 else names)


def _object(members: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a member that is an object. Some languages write one without members as `[]`, and some forms as `""`."""
    value = members.get(name)
    return _optional(members, name, dict, "an object") or {} if value not in ([], "") else {}


def _optional(members: dict[str, Any], name: str, kind: type, described: str) -> Any:
    value = members.get(name)
    if value is not None and type(value) is not kind:
        raise bad_request(f"`{name}` must be {described}.")
    return value

"""Requests that are wrong, each in its own way: what a careless client sends, and what a hostile one tries."""

import json
from typing import NamedTuple

VALID = b'{"query":"{ hello }"}'


class Malformed(NamedTuple):
    """`sent` is a body, or with `headers` what they are sent with, or a whole request down to its last byte."""

    name: str
    sent: bytes = VALID
    headers: dict[str, str] | None = None
    status: int = 400

    def __str__(self) -> str:
        return self.name


def asking(**members: object) -> bytes:
    return json.dumps(members).encode()


BODIES = [
    # Not JSON.
    Malformed("empty", b""),
    Malformed("blank", b" \r\n\t"),
    Malformed("cut off", b'{"query":"{ hel'),
    Malformed("text", b"{ hello }"),
    Malformed("a form", b"query=%7B+hello+%7D"),
    Malformed("two values", b'{"query":"{ hello }"} {}'),
    Malformed("a comma too many", b'{"query":"{ hello }",}'),
    Malformed("single quotes", b"{'query':'{ hello }'}"),
    Malformed("a comment", b'{"query":"{ hello }" /* why */}'),
    Malformed("NaN", b'{"query":"{ hello }","variables":{"a":NaN}}'),
    Malformed("Infinity", b'{"query":"{ hello }","variables":{"a":-Infinity}}'),
    Malformed("a leading zero", b'{"query":"{ hello }","variables":{"a":01}}'),
    Malformed("a number of 5,000 digits", b'{"query":"{ hello }","variables":{"a":' + b"9" * 5000 + b"}}"),
    Malformed("a raw line break in a string", b'{"query":"{\n hello }"}'),
    # Not text.
    Malformed("invalid UTF-8", b'{"query":"{ hello(name: \xff) }"}'),
    Malformed("a surrogate in UTF-8", b'{"query":"{ hello }","variables":{"a":"\xed\xa0\x80"}}'),
    Malformed("an overlong slash", b'{"query":"{ hello }","variables":{"a":"\xc0\xaf"}}'),
    Malformed("UTF-16", '{"query":"{ hello }"}'.encode("utf-16")),
    Malformed("UTF-16 without a mark", '{"query":"{ hello }"}'.encode("utf-16-le")),
    Malformed("two byte order marks", b"\xef\xbb\xbf" * 2 + VALID),
    Malformed("a byte order mark after the body", VALID + b"\xef\xbb\xbf"),
    Malformed("NUL", b"\x00"),
    Malformed("NUL in a string", b'{"query":"{ hello }\x00"}'),
    Malformed("NUL after the end", VALID + b"\x00"),
    Malformed("half a surrogate pair", b'{"query":"{ hello }","variables":{"a":"\\ud800"}}'),
    Malformed("a surrogate pair the wrong way round", b'{"query":"{ hello }","variables":{"a":"\\udc00\\ud800"}}'),
    Malformed("half a surrogate pair as a name", b'{"query":"{ hello }","variables":{"\\ud800":1}}'),
    # Too deep for those who follow.
    Malformed("100,000 opening brackets", b"[" * 100_000),
    Malformed("100,000 brackets", b"[" * 100_000 + b"]" * 100_000),
    Malformed("20,000 objects", b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    Malformed("variables 1,000 deep", b'{"query":"{ hello }","variables":{"a":' + b"[" * 1000 + b"]" * 1000 + b"}}"),
    # Ambiguous: two readers would see two requests.
    Malformed("query twice", b'{"query":"{ hello }","query":"{ broken }"}'),
    Malformed("query twice, once in disguise", b'{"query":"{ hello }","\\u0071uery":"{ broken }"}'),
    Malformed("a variable twice", b'{"query":"{ hello }","variables":{"a":1,"a":2}}'),
    Malformed("a long name twice", b'{"query":"{ hello }","' + b"a" * 100_000 + b'":1,"' + b"a" * 100_000 + b'":2}'),
    # JSON, but not a request.
    Malformed("null", b"null"),
    Malformed("true", b"true"),
    Malformed("a number", b"5"),
    Malformed("a string", b'"hi"'),
    Malformed("an empty list", b"[]"),
    Malformed("a batch", b"[" + VALID + b"," + VALID + b"]"),
    Malformed("an empty object", b"{}"),
    Malformed("a misspelt query", asking(qeury="{ hello }")),
    Malformed("query null", asking(query=None)),
    Malformed("query empty", asking(query="")),
    Malformed("query a number", asking(query=0)),
    Malformed("query false", asking(query=False)),
    Malformed("query a list", asking(query=["{ hello }"])),
    Malformed("query an object", asking(query={"text": "{ hello }"})),
    Malformed("variables a string", asking(query="{ hello }", variables='{"a":1}')),
    Malformed("variables a blank string", asking(query="{ hello }", variables=" ")),
    Malformed("variables a number", asking(query="{ hello }", variables=0)),
    Malformed("variables false", asking(query="{ hello }", variables=False)),
    Malformed("variables a list", asking(query="{ hello }", variables=[{}])),
    Malformed("operationName a number", asking(query="{ hello }", operationName=0)),
    Malformed("operationName false", asking(query="{ hello }", operationName=False)),
    Malformed("operationName a list", asking(query="{ hello }", operationName=[])),
    Malformed("operationName an object", asking(query="{ hello }", operationName={})),
    Malformed("extensions a string", asking(query="{ hello }", extensions="a")),
    Malformed("extensions a number", asking(query="{ hello }", extensions=0)),
    Malformed("extensions a list", asking(query="{ hello }", extensions=[{}])),
    Malformed("documentId a number", asking(documentId=1)),
    Malformed("documentId empty", asking(documentId="")),
    Malformed("documentId unknown", asking(documentId="sha256:" + "0" * 64)),
    Malformed("documentId and query", asking(documentId="0", query="{ hello }")),
]

_JSON = {"Content-Type": "application/json"}

HEADERS = [
    Malformed("no type", headers={"Content-Type": ""}, status=415),
    Malformed("text", headers={"Content-Type": "text/plain"}, status=415),
    Malformed("a form", headers={"Content-Type": "application/x-www-form-urlencoded"}, status=415),
    Malformed("multipart", headers={"Content-Type": "multipart/form-data; boundary=a"}, status=415),
    Malformed("GraphQL as a document", headers={"Content-Type": "application/graphql"}, status=415),
    Malformed("an answer as a request", headers={"Content-Type": "application/graphql-response+json"}, status=415),
    Malformed("a form that says JSON", headers={"Content-Type": "text/plain; application/json"}, status=415),
    Malformed("JSON by another name", headers={"Content-Type": "application/jsonp"}, status=415),
    Malformed("Latin-1", headers={"Content-Type": "application/json; charset=iso-8859-1"}, status=415),
    Malformed("an unknown charset", headers={"Content-Type": "application/json; charset=bogus"}, status=415),
    Malformed("UTF-16", headers={"Content-Type": "application/json;charset=utf-16"}, status=415),
    Malformed("two charsets", headers={"Content-Type": "application/json; charset=utf-8; charset=utf-7"}, status=415),
    Malformed("a type that is not text", headers={"Content-Type": "application/json; charset=\udcff"}, status=415),
    Malformed("a body packed twice", headers=_JSON | {"Content-Encoding": "identity, gzip"}, status=415),
    Malformed("a packed body", headers=_JSON | {"Content-Encoding": "gzip"}, status=415),
    Malformed("an unknown packing", headers=_JSON | {"Content-Encoding": "bogus"}, status=415),
    Malformed("only HTML accepted", headers=_JSON | {"Accept": "text/html"}, status=406),
    Malformed("nothing accepted", headers=_JSON | {"Accept": "*/*;q=0"}, status=406),
    Malformed("a nonsensical weight", headers=_JSON | {"Accept": "application/json;q=nan"}, status=406),
    Malformed("an Accept that is not text", headers=_JSON | {"Accept": "\udcff/\udcfe"}, status=406),
]

_START = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

REQUESTS = [
    Malformed("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    Malformed("not HTTP", b"HELO there\r\n\r\n"),
    Malformed("no host", b"POST /graphql HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
    Malformed("a length that is no number", _START + b"Content-Length: ten\r\n\r\n"),
    Malformed("a negative length", _START + b"Content-Length: -1\r\n\r\n"),
    Malformed("two lengths", _START + b"Content-Length: 21\r\nContent-Length: 3\r\n\r\n" + VALID),
    Malformed("a length and chunks", _START + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Malformed("a chunk of no length", _START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
    Malformed("NUL in a header", _START + b"X-Request-Id: a\x00b\r\nContent-Length: 0\r\n\r\n"),
    Malformed("a header without a name", _START + b": a\r\nContent-Length: 0\r\n\r\n"),
    Malformed("1,000 headers", _START + b"".join(b"X-%d: a\r\n" % number for number in range(1000)) + b"\r\n"),
]

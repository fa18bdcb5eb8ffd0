"""Who sent a request: the address behind trusted proxies, and the trace that it belongs to."""

from ipaddress import ip_network

import pytest
from multidict import CIMultiDict

from schema.transport.http.clients import ClientAddresses, trace_id

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"), ip_network("127.0.0.1")]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


class Request:
    """What is read of a request of aiohttp."""

    def __init__(self, remote: str | None, *headers: tuple[str, str]) -> None:
        self.remote = remote
        self.headers = CIMultiDict(headers)


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", value) for value in values]


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", forwarded("198.51.100.7"), "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", forwarded("198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", forwarded("203.0.113.9, 198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", forwarded("203.0.113.9, 198.51.100.7, 10.2.3.4"), "198.51.100.7"),
        ("10.0.0.1", forwarded("203.0.113.9", "198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", forwarded("10.3.3.3, 10.2.2.2"), "10.3.3.3"),
        ("10.0.0.1", forwarded("198.51.100.7, nonsense, 10.2.2.2"), "10.2.2.2"),
        ("10.0.0.1", forwarded("198.51.100.7:51234"), "198.51.100.7"),
        ("10.0.0.1", forwarded("[2001:db8:2::1]:443"), "2001:db8:2::1"),
        ("10.0.0.1", forwarded("2001:DB8:2:0::1"), "2001:db8:2::1"),
        ("::ffff:10.0.0.1", forwarded("198.51.100.7"), "198.51.100.7"),
        ("2001:db8:1::5", forwarded("198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", [("Forwarded", 'for=203.0.113.9;proto=https, For="[2001:db8:2::1]:4711";by=10.0.0.1')], "2001:db8:2::1"),
        ("10.0.0.1", [("Forwarded", "for=_hidden")], "10.0.0.1"),
        ("10.0.0.1", [("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "198.51.100.7")], "198.51.100.7"),
        ("10.0.0.1", forwarded("1.1.1.1, " * 10_000 + "198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", forwarded("\x1b[31m"), "10.0.0.1"),
        (None, forwarded("198.51.100.7"), None),
    ],
)
def test_only_what_trusted_proxies_say_is_believed(peer: str | None, headers: list[tuple[str, str]], address: str | None) -> None:
    assert ClientAddresses(TRUSTED).address(Request(peer, *headers)) == address  # type: ignore[arg-type]  # all that is read of one


def test_without_trusted_proxies_nobody_is_believed() -> None:
    request = Request("10.0.0.1", *forwarded("198.51.100.7"))

    assert ClientAddresses().address(request) == "10.0.0.1"  # type: ignore[arg-type]  # all that is read of one


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ([], None),
        ([f"00-{TRACE}-{SPAN}-01"], TRACE),
        ([f"00-{TRACE}-{SPAN}-00"], TRACE),
        ([f"cc-{TRACE}-{SPAN}-01-what-comes-later"], TRACE),
        ([f"00-{TRACE}-{SPAN}-01-what-comes-later"], None),
        ([f"cc-{TRACE}-{SPAN}-01what"], None),
        ([f"ff-{TRACE}-{SPAN}-01"], None),
        ([f"00-{TRACE.upper()}-{SPAN}-01"], None),
        ([f"00-{'0' * 32}-{SPAN}-01"], None),
        ([f"00-{TRACE}-{'0' * 16}-01"], None),
        ([f"00-{TRACE}-{SPAN}-1"], None),
        ([f"00-{TRACE}-{SPAN}-01\n"], None),
        ([f"00-{TRACE}-{SPAN}-01"] * 2, None),
        (["x" * 8000], None),
    ],
)
def test_the_trace_is_that_of_the_one_valid_header(headers: list[str], trace: str | None) -> None:
    request = Request("192.0.2.1", *(("traceparent", header) for header in headers))

    assert trace_id(request) == trace  # type: ignore[arg-type]  # all that is read of one

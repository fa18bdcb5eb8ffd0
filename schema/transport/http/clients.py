"""Who sent a request, for the log: the address of the client, also behind proxies, and the trace that the request is part of."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, Protocol

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from schema.transport.operations import RequestState

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

REQUEST_ID = istr("X-Request-Id")
X_FORWARDED_FOR = istr("X-Forwarded-For")
TRACEPARENT = istr("traceparent")

_CACHED_ADDRESSES = 1_000
# Longer ones are not looked at: clients may send any.
_LONGEST_HEADER = 1_000
_ACCEPTABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_ID = re.compile("0+")
# W3C Trace Context: later versions may have more behind the flags, and ff is none.
_traceparent = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?").fullmatch
_forwarded_for = re.compile(r'(?:^|[;,])\s*for="?([^";,]*)"?', re.IGNORECASE).findall
_host = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*)(?::\d+)?").fullmatch


class Head(Protocol):
    """What is read of a request: its headers, and the address that its connection comes from."""

    @property
    def headers(self) -> CIMultiDictProxy[str] | CIMultiDict[str]: ...

    @property
    def remote(self) -> str | None: ...


class Received(NamedTuple):
    """The head of a request that came whole."""

    headers: CIMultiDictProxy[str]
    remote: str | None


# Returns the whole response to a request and its body, or None.
Straight = Callable[[Received, bytes], bytes | None]


class ClientAddresses:
    """Finds the address of a client by what trusted proxies say of it, and nobody else."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)
        self._find = lru_cache(_CACHED_ADDRESSES)(self._find_behind)

    def address(self, request: Head) -> str | None:
        """Return the last address that no trusted proxy has, by X-Forwarded-For or, where there is none, by Forwarded."""
        peer = request.remote
        if not self._trusted or peer is None:
            return peer
        headers = request.headers
        listed = ",".join(headers.getall(X_FORWARDED_FOR, ()))
        if not listed:
            listed = ",".join(_forwarded_for(",".join(headers.getall(hdrs.FORWARDED, ()))))
        return self._find(peer, listed[-_LONGEST_HEADER:])

    def _find_behind(self, peer: str, listed: str) -> str:
        found = peer
        for address in self._hops(peer, listed):
            found = str(address)
            if not any(address in network for network in self._trusted):
                break
        return found

    def _hops(self, peer: str, listed: str) -> Iterator[Address]:
        """Yield the addresses from the nearest on; what is none ends it."""
        for part in (peer, *reversed(listed.split(","))):
            address = _address(part.strip())
            if address is None:
                return
            yield address


def trace_id(request: Head) -> str | None:
    """Return the ID of the trace that a proxy or the client has begun, if it says so by the one header of the standard."""
    header = request.headers.get(TRACEPARENT)
    if header is None:
        return None
    match = _traceparent(header) if len(request.headers.getall(TRACEPARENT)) == 1 else None
    if match is None or _NO_ID.fullmatch(match[2]) or _NO_ID.fullmatch(match[3]) or (match[1] == "00" and match[4]):
        return None
    return match[2]


def new_state(request: Head, clients: ClientAddresses) -> RequestState:
    """Return the state of a request, with who sent it and which trace it is part of."""
    state = RequestState(_request_id(request))
    state.client, state.trace_id = clients.address(request), trace_id(request)
    return state


def _request_id(request: Head) -> str | None:
    """Return the ID that the client or a proxy sent, if it is fit for a log."""
    id = request.headers.get(REQUEST_ID)
    return id if id and _ACCEPTABLE_REQUEST_ID.fullmatch(id) else None


def _address(text: str) -> Address | None:
    match = _host(text)
    try:
        # A port may follow; IPv6 has colons of its own, unless it is in brackets.
        address = ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

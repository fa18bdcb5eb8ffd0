"""How a listening socket is closed without resetting anybody: new connections are refused, those that wait are accepted."""

import asyncio
import ctypes
import select
import socket
import struct
import sys
from contextlib import suppress

POLL_SECONDS = 0.01
LONGEST_SECONDS = 1.0

SO_ATTACH_FILTER = 26
# A BPF program for the kernel: drop packets that open a connection (SYN), let all others pass.
_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_FLAGS, _SYN, _ALL = 13, 0x02, 0xFFFFFFFF
_DROP_SYN = b"".join(
    struct.pack("=HBBI", *step)
    for step in ((_LOAD_BYTE, 0, 0, _FLAGS), (_JUMP_IF_SET, 0, 1, _SYN), (_RETURN, 0, 0, 0), (_RETURN, 0, 0, _ALL))
)


def refuse_new_connections(listener: socket.socket) -> None:
    """Drop every packet that would open a connection, in whatever process: the client retries, and finds the socket closed.

    Closing the socket alone resets connections that the kernel has established and nobody has accepted yet: where each request
    has a connection of its own, some twenty under load.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_DROP_SYN)
    with suppress(OSError):  # some sandboxes have no socket filters
        listener.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN) // 8, ctypes.addressof(program))
        )


async def accepted(listener: socket.socket) -> None:
    """Wait until every established connection was accepted, for a second at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_SECONDS):
            while select.select([listener], [], [], 0)[0]:  # noqa: ASYNC110 - the loop has no event for what it accepts
                await asyncio.sleep(POLL_SECONDS)

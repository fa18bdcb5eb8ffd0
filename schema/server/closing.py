"""The end of a socket that listens: who has connected is taken in, nobody else."""

import asyncio
import ctypes
import select
import socket
import struct
import sys
from contextlib import suppress

GLANCE_SECONDS = 0.01
LONGEST_SECONDS = 1.0

SO_ATTACH_FILTER = 26
# A program for the kernel: drop what asks for a connection, let everything else pass.
_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_FLAGS, _SYN, _ALL = 13, 0x02, 0xFFFFFFFF
_NO_NEWCOMERS = b"".join(
    struct.pack("=HBBI", *step)
    for step in ((_LOAD_BYTE, 0, 0, _FLAGS), (_JUMP_IF_SET, 0, 1, _SYN), (_RETURN, 0, 0, 0), (_RETURN, 0, 0, _ALL))
)


def turn_newcomers_away(listener: socket.socket) -> None:
    """Let nobody else connect, in whatever process.

    To close a socket resets those who have connected and were not accepted yet. Who knocks now tries again, and finds it closed.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_NO_NEWCOMERS)
    with suppress(OSError):  # some sandboxes know of no filters
        listener.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(_NO_NEWCOMERS) // 8, ctypes.addressof(program))
        )


async def all_taken_in(listener: socket.socket) -> None:
    """Wait until everybody who has connected was accepted."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_SECONDS):
            while select.select([listener], [], [], 0)[0]:  # noqa: ASYNC110 - the loop tells nobody whom it accepts
                await asyncio.sleep(GLANCE_SECONDS)

"""File descriptors: as many as the system allows, none of them by mistake a standard stream, and a word when they run out."""

import asyncio
import errno
import logging
import os
import resource
from contextlib import suppress

# Of what a connection may not take: files that are opened while serving, pipes, sockets to other servers.
RESERVED = 32
# More would be for connections that no process could serve.
MOST = 65_536
LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


def occupy_standard_streams() -> None:
    """Put something in the place of standard streams that are closed, or the database might be opened there, and logged into.

    What cannot be written to: so that what is written is known to be lost.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free.
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)


def raise_limit() -> None:
    """Raise the soft limit to the hard one, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < highest:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))


def for_connections() -> int:
    """Return how many connections leave room for all else; call it once what a server keeps open is open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MOST if soft == resource.RLIM_INFINITY else soft
    return max(limit - _lowest_free() - RESERVED, 8)


async def report_exhaustion() -> None:
    """Log when no file descriptor is left, once, and when there is one again."""
    exhausted = False
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if _is_exhausted() != exhausted:
            exhausted = not exhausted
            if exhausted:
                log.error("No file descriptors are left: new connections are closed. Raise the limit of open files")
            else:
                log.warning("There are file descriptors again")


def _is_exhausted() -> bool:
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def _lowest_free() -> int:
    """Return a descriptor that is free: those below it are in use."""
    free = os.dup(2)
    os.close(free)
    return free

"""A listening socket that is closed resets no connection: those that wait are accepted, others are never established."""

import errno
import socket
import sys
from contextlib import closing

import pytest

from schema.server.closing import refuse_new_connections


def connects(listener: socket.socket, seconds: float) -> bool:
    with closing(socket.socket()) as client:
        client.settimeout(seconds)
        try:
            client.connect(listener.getsockname())
        except TimeoutError:
            return False
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters the packets of a socket")
def test_who_connects_while_a_socket_is_closed_finds_nobody_there_instead_of_being_reset() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, closing(socket.socket()) as early:
        early.connect(listener.getsockname())
        refuse_new_connections(listener)

        late = connects(listener, 0.2)
        early.sendall(b"request")
        served, _ = listener.accept()
        with closing(served):
            request = served.recv(100)
            address = listener.getsockname()
            listener.close()
            served.sendall(b"answer")

        with closing(socket.socket()) as afterwards:
            refused = afterwards.connect_ex(address)
        assert (late, request, early.recv(100), refused) == (False, b"request", b"answer", errno.ECONNREFUSED)

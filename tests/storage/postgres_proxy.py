"""A wire between the storage and its server that can be cut at the moment of a commit."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Literal

#: The commit does not leave; it leaves, and the answer is lost; it leaves after a while, when the
#: storage has long given up this connection.
Cut = Literal["before", "after", "hold"]


class Proxy:
    """Passes bytes to a server's port and back.

    Attributes:
        port: where it listens.
        cut: what happens to the next commit; ``None`` lets it pass.
        closed: takes no new connections.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.cut: Cut | None = None
        self.closed = False
        self.held: list[tuple[socket.socket, bytes]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        _shut(self._socket)

    def release(self) -> None:
        """Sends what was held."""
        for server, data in self.held:
            with contextlib.suppress(OSError):
                server.sendall(data)
            server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                if self.closed:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._out, args=(client, server), daemon=True).start()
                threading.Thread(target=self._back, args=(client, server), daemon=True).start()

    def _out(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.cut and b"COMMIT\0" in data:
                    self._do_cut(client, server, data)
                    return
                server.sendall(data)
        _shut(server)

    def _do_cut(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        cut, self.cut = self.cut, None
        if cut == "hold":
            self.held.append((server, data))
            _shut(client)
            return
        # First, so that no answer comes through.
        _shut(client)
        if cut == "after":
            server.sendall(data)
            # The server works on, and closes when it has read all.
            server.shutdown(socket.SHUT_WR)
        else:
            _shut(server)

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        _shut(client)
        _shut(server)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()

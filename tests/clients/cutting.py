"""A network that can be cut at any byte: a proxy between a client and the service."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Cutting:
    """Forwards each connection to `port`, and ends the next one after so many bytes of the request or of the answer, if
    it was told to. What comes for `/cut` is for itself."""

    def __init__(self, port: int) -> None:
        self._port, self._which, self._after = port, "", 0
        self.was_cut = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client: socket.socket) -> None:
        """Every request has a connection of its own, so that a cut hits one."""
        with client:
            request = _message(client)
            if request.startswith(b"POST /cut "):
                self._set(json.loads(request.partition(b"\r\n\r\n")[2]))
                _answer(client, {"was_cut": self.was_cut})
                return
            which, after = self._which, self._after
            self._which = ""
            if which == "request" and after < len(request):
                self.was_cut = True
                with socket.create_connection(("127.0.0.1", self._port)) as service:
                    service.sendall(request[:after])
                return
            answer = self._asked(_closing(request))
            if which == "answer" and after < len(answer):
                self.was_cut = True
                answer = answer[:after]
            client.sendall(answer)

    def _set(self, told: dict[str, Any]) -> None:
        if told:
            self._which, self._after, self.was_cut = told["which"], told["after"], False

    def _asked(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port)) as service:
            service.sendall(request)
            parts = []
            while part := service.recv(65_536):
                parts.append(part)
        return b"".join(parts)


def _closing(request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body


def _message(client: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found:
        part = client.recv(65_536)
        if not part:
            return found
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        body += client.recv(65_536)
    return head + b"\r\n\r\n" + body


def _answer(client: socket.socket, said: dict[str, Any]) -> None:
    body = json.dumps(said).encode()
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
    client.sendall("\r\n".join([*lines, "", ""]).encode() + body)


@contextmanager
def cutting(port: int) -> Iterator[Cutting]:
    proxy = Cutting(port)
    try:
        yield proxy
    finally:
        proxy.close()

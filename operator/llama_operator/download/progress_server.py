"""`GET /progress`: how far a download is, for whoever watches it, as one small JSON object.

One connection at a time, in a thread of its own, with bounds on what is read and for how long: a
download must not wait for somebody who asks.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from socketserver import TCPServer
from typing import Final

from llama_operator.download.progress import Progress

PATH: Final = "/progress"
REQUEST_LIMIT_BYTES: Final = 4096
CONNECTION_SECONDS: Final = 2.0
"""Of one connection, whatever it sends or reads."""
POLL_SECONDS: Final = 0.1
"""How long the end waits for the thread, at most."""
_log = logging.getLogger(__name__)


class ProgressBoard:
    """What is told; None before bytes are counted."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def show(self, progress: Progress) -> None:
        """Tell of a fetch that begins."""
        self._progress = progress

    def text(self) -> bytes | None:
        """The answer, None while there is none."""
        progress = self._progress
        return None if progress is None else json.dumps(progress.figures()).encode("ascii")


class _Handler(BaseHTTPRequestHandler):
    board: ProgressBoard
    server_version = "llama-operator"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = BytesIO(_head(self.connection))

    def do_GET(self) -> None:
        """Answer the one path that there is."""
        text = self.board.text()
        if self.path != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif text is None:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing: whoever asks often would fill the log."""


def _head(connection: socket.socket) -> bytes:
    """What a client sends up to the empty line, in time and within the limit; else what came."""
    until, head = time.monotonic() + CONNECTION_SECONDS, b""
    while b"\r\n\r\n" not in head and len(head) < REQUEST_LIMIT_BYTES:
        left = until - time.monotonic()
        if left <= 0:
            break
        connection.settimeout(left)
        chunk = connection.recv(REQUEST_LIMIT_BYTES - len(head))
        if not chunk:
            break
        head += chunk
    connection.settimeout(CONNECTION_SECONDS)
    return head


class _Server(TCPServer):
    allow_reuse_address = True

    def __init__(self, address: str, port: int, board: ProgressBoard) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), type("_Bound", (_Handler,), {"board": board}))

    def handle_error(self, *_: object) -> None:
        """A client that goes away, or is too slow, is no matter."""


@contextmanager
def serve_progress(board: ProgressBoard, address: str, port: int | None) -> Iterator[None]:
    """Answer until the end of the block; the log tells the port.

    A port that cannot be had is told in the log, too: the download matters more.

    Args:
        board: what is told.
        address: to listen on.
        port: 0 takes a free one; None serves nothing.
    """
    if port is None:
        yield
        return
    try:
        server = _Server(address, port, board)
    except OSError as error:
        _log.warning("progress is not served on %s port %d: %s", address, port, error.strerror)
        yield
        return
    with server:
        thread = threading.Thread(
            target=server.serve_forever,
            kwargs={"poll_interval": POLL_SECONDS},
            name="progress",
            daemon=True,
        )
        thread.start()
        _log.info("progress is told on %s port %d", address, server.server_address[1])
        try:
            yield
        finally:
            server.shutdown()
            thread.join()

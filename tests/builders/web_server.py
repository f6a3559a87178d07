"""A web server on the loopback interface that serves a folder, and misbehaves as it is told."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass
class Behaviour:
    """What is wrong with the answers to requests whose path ends so; ``times`` of them."""

    times: int = 1 << 30
    status: int = 0
    """Answered instead of the file."""
    headers: dict[str, str] = field(default_factory=dict)
    break_after: int | None = None
    """Bytes of the body after which the connection is cut."""
    length: int | None = None
    """The Content-Length that is said, whatever there is."""
    no_length: bool = False
    body: bytes | None = None
    """Sent instead of the file's content."""
    ignore_range: bool = False
    pause: float = 0.0
    """Seconds between two pieces of 1,024 bytes."""


class WebServer:
    """Serves ``folder``; ``requests`` are those that came, with their headers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.sent = 0
        """Bytes of bodies."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def behaviour(self, path: str) -> Behaviour:
        for end, found in self.behaviours.items():
            if path.endswith(end) and found.times > 0:
                found.times -= 1
                return found
        return Behaviour()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, owner: WebServer, *arguments: object) -> None:
        self._owner = owner
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self._owner.requests.append((path, {k.lower(): v for k, v in self.headers.items()}))
        how = self._owner.behaviour(path)
        if how.status:
            self._answer(how.status, how.headers, b"")
            return
        file = self._owner.folder / path.lstrip("/")
        if how.body is None and not file.is_file():
            self._answer(404, {}, b"")
            return
        body = file.read_bytes() if how.body is None else how.body
        status, headers = 200, dict(how.headers)
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted and not how.ignore_range:
            begin = int(wanted[1])
            if begin >= len(body):
                self._answer(416, {"Content-Range": f"bytes */{len(body)}"}, b"")
                return
            status = 206
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
            body = body[begin:]
        self._answer(status, headers, body, how)

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, how: Behaviour | None = None
    ) -> None:
        how = how or Behaviour()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if how.no_length:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(how.length or len(body)))
        self.end_headers()
        cut = body if how.break_after is None else body[: how.break_after]
        step = 1024 if how.pause else max(1, len(cut))
        try:
            for begin in range(0, len(cut), step):
                self.wfile.write(cut[begin : begin + step])
                self._owner.sent += len(cut[begin : begin + step])
                if how.pause:
                    time.sleep(how.pause)
        except OSError:
            self.close_connection = True  # who asked went away
        if how.break_after is not None or (how.length or 0) > len(body):
            self.close_connection = True


@contextmanager
def web_server(folder: Path) -> Iterator[WebServer]:
    server = WebServer(folder)
    try:
        yield server
    finally:
        server.close()

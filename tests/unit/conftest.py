"""A file server on this machine that can be told to misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server(ThreadingHTTPServer):
    """Serves ``content`` by path, with ranges and ETags.

    Attributes:
        cuts: after how many bytes the next answers break off.
        busy: how many of the next answers are 503.
        ranges: the Range header of each request that was answered.
        tags: whether answers have an ETag.
        lengths: whether answers say how long they are.
        headers: further ones of each answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.busy = 0
        self.ranges: list[str | None] = []
        self.tags = self.lengths = True
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        body = server.content.get(self.path)
        if body is None:
            self.send_error(404)
            return
        if server.busy:
            server.busy -= 1
            self.send_error(503)
            return
        wanted = self.headers.get("Range")
        server.ranges.append(wanted)
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        first = 0
        if wanted and self.headers.get("If-Range") == tag:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if first >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if server.tags:
            self.send_header("ETag", tag)
        if server.lengths:
            self.send_header("Content-Length", str(len(body) - first))
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        last = first + server.cuts.pop(0) if server.cuts else len(body)
        self.wfile.write(body[first:last])

    def do_HEAD(self) -> None:
        body = self.server.content.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()

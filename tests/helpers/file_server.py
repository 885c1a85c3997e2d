"""A local web server of one file that can simulate failures."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves ``content`` under every path but ``/missing``.

    Attributes:
        content: content of the file.
        etag: version of the file.
        ranges: whether range requests are supported.
        cuts: number of bytes that each of the next responses sends before disconnecting.
        requests: headers of the received requests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = b""
        self.etag = '"1"'
        self.ranges = True
        self.cuts: list[int] = []
        self.requests: list[dict[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = self._start()
        if start and start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)
        self.close_connection = True

    def _start(self) -> int:
        wanted = self.headers.get("Range")
        version = self.headers.get("If-Range", self.server.etag)
        if not self.server.ranges or wanted is None or version != self.server.etag:
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *arguments: object) -> None:
        """Suppress logging."""


@contextlib.contextmanager
def serve() -> Iterator[FileServer]:
    """Run a server in another thread."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

"""The only way out for the browser: a proxy on the loopback that decides what a page may load.

For an HTML file it serves the file's own folder under a made-up host and refuses all else. For
an address it passes on what `leopard.documents.network` allows. Deciding here rather than in the
browser covers every kind of request: scripts, workers, frames, redirects, sockets.
"""

from __future__ import annotations

import mimetypes
import secrets
import select
import socket
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from leopard.documents.network import resolve

_CHUNK_BYTES = 1 << 16
_STALL_S = 30.0
_PER_HOP_HEADERS = frozenset({"proxy-connection", "connection", "proxy-authorization"})


class WebProxy:
    """A proxy for one page. Use in a `with` block.

    Args:
        file: An HTML file to serve with its folder; None to pass on to the network.
        own_hosts: Hosts that may be at private addresses.
        max_bytes: Most bytes passed to the browser; beyond, connections end.

    Attributes:
        refused: Addresses that the page asked for and did not get.
        is_over_limit: Whether `max_bytes` was reached.
    """

    def __init__(
        self, *, file: Path | None = None, own_hosts: Iterable[str] = (), max_bytes: int
    ) -> None:
        self.refused: list[str] = []
        self.is_over_limit = False
        self.file = file.resolve() if file else None
        self.own_hosts = frozenset(own_hosts)
        # Nobody else on this machine can guess the host and read the folder meanwhile.
        self.file_host = f"{secrets.token_hex(16)}.invalid"
        self._bytes_left = max_bytes
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Host and port of the proxy."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def file_url(self) -> str:
        """Address under which the browser finds the file."""
        assert self.file is not None
        return f"http://{self.file_host}/{quote(self.file.name)}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, num_bytes: int) -> bool:
        """Count bytes on their way to the browser; False when there were too many."""
        self._bytes_left -= num_bytes
        self.is_over_limit = self.is_over_limit or self._bytes_left < 0
        return not self.is_over_limit

    def served_file(self, url_path: str) -> Path | None:
        """The file behind a path of the made-up host: inside the folder, and not hidden."""
        assert self.file is not None
        folder = self.file.parent
        try:
            path = (folder / unquote(url_path).lstrip("/")).resolve()
            inside = path.relative_to(folder)
        except (ValueError, OSError, RuntimeError):
            return None
        hidden = any(part.startswith(".") for part in inside.parts)
        return path if path == self.file or (not hidden and path.is_file()) else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: WebProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _STALL_S

    def log_message(self, *_: object) -> None:
        """Nothing is logged: what a page loads is nobody's business."""

    def do_GET(self) -> None:
        """Serve from the folder, or pass on."""
        proxy = self.server.proxy
        parts = urlsplit(self.path)
        if proxy.file is None:
            self._pass_on()
        elif parts.hostname == proxy.file_host and (path := proxy.served_file(parts.path)):
            self._serve(path)
        else:
            self._refuse()

    def do_POST(self) -> None:
        """Pass on, unless a file is shown."""
        if self.server.proxy.file is None:
            self._pass_on()
        else:
            self._refuse()

    # The names are http.server's.
    do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = do_POST  # noqa: N815

    def do_CONNECT(self) -> None:
        """Open a tunnel for an encrypted connection."""
        host, _, port = self.path.rpartition(":")
        if self.server.proxy.file is not None or not port.isdecimal():
            self._refuse()
            return
        upstream = self._connect(host.strip("[]"), int(port))
        if upstream is None:
            return
        with upstream:
            self.send_response_only(200)
            self.end_headers()
            self._relay(upstream)

    def _serve(self, path: Path) -> None:
        guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        is_page = path == self.server.proxy.file and guessed != "application/xhtml+xml"
        try:
            size = path.stat().st_size
            if not self.server.proxy.take(size):
                self._refuse()
                return
            content = path.read_bytes()
        except OSError:
            self._refuse()
            return
        self.send_response_only(200)
        self.send_header("Content-Type", "text/html" if is_page else guessed)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _pass_on(self) -> None:
        parts = urlsplit(self.path)
        if parts.scheme != "http" or not parts.hostname:
            self._refuse()
            return
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(int(length)) if length.isdecimal() else b""
        upstream = self._connect(parts.hostname, parts.port or 80)
        if upstream is None:
            return
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{self.command} {target} HTTP/1.1"]
        lines += [f"{k}: {v}" for k, v in self.headers.items() if k.lower() not in _PER_HOP_HEADERS]
        lines += ["Connection: close", "", ""]
        with upstream:
            upstream.sendall("\r\n".join(lines).encode("latin-1") + body)
            self._relay(upstream)

    def _connect(self, host: str, port: int) -> socket.socket | None:
        proxy = self.server.proxy
        try:
            address = resolve(host, port, own_hosts=proxy.own_hosts)
            return socket.create_connection((address, port), timeout=_STALL_S)
        except OSError:
            self._refuse()
            return None

    def _relay(self, upstream: socket.socket) -> None:
        self.close_connection = True
        browser = self.connection
        while True:
            ready, _, _ = select.select([browser, upstream], [], [], _STALL_S)
            if not ready:
                return
            for sender in ready:
                data = sender.recv(_CHUNK_BYTES)
                if not data or (sender is upstream and not self.server.proxy.take(len(data))):
                    return
                (browser if sender is upstream else upstream).sendall(data)

    def _refuse(self) -> None:
        self.server.proxy.refused.append(self.path)
        self.close_connection = True
        self.send_response_only(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

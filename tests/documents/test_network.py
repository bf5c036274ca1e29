import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leopard.documents.limits import Limits, Stopwatch
from leopard.documents.network import Fetched, ForbiddenAddressError, fetch, host_of, resolve
from leopard.errors import DocumentError, DocumentLimitError
from tests.documents.conftest import image_bytes, pdf_bytes

Answer = tuple[int, dict[str, str], bytes]
Serve = Callable[[dict[str, Answer]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A web server on the loopback with the given answers by path."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(answers: dict[str, Answer]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _fetch(
    url: str, folder: Path, limits: Limits | None = None, max_seconds: float = 20
) -> Fetched:
    limits = limits or Limits(max_seconds=max_seconds)
    watch = Stopwatch(limits, url)
    with watch.running():
        return fetch(url, folder, limits=limits, watch=watch)


def test_document_is_saved_with_the_ending_of_its_address(serve: Serve, tmp_path: Path) -> None:
    url = serve({"/r/Report%20A.pdf?x=1": (200, {}, pdf_bytes())})
    fetched = _fetch(f"{url}/r/Report%20A.pdf?x=1", tmp_path)
    assert fetched.path.read_bytes() == pdf_bytes()
    assert fetched.path.name == "download.pdf"
    assert not fetched.is_web_page


@pytest.mark.parametrize(
    ("body", "content_type", "is_web_page"),
    [
        (b"<!doctype html><p>x", "text/html; charset=utf-8", True),
        (b"<!doctype html><p>x", "", True),
        (b"<p>x", "text/html", True),
        (image_bytes("PNG"), "text/html", False),
        (b"some text", "text/plain", False),
        (b"", "text/html", False),
    ],
)
def test_web_pages_are_told_by_content_then_by_type(
    serve: Serve, tmp_path: Path, body: bytes, content_type: str, is_web_page: bool
) -> None:
    url = serve({"/a": (200, {"Content-Type": content_type}, body)})
    assert _fetch(f"{url}/a", tmp_path).is_web_page is is_web_page


def test_redirects_on_the_same_host_are_followed(serve: Serve, tmp_path: Path) -> None:
    url = serve({"/a": (302, {"Location": "/b.pdf"}, b""), "/b.pdf": (200, {}, pdf_bytes())})
    fetched = _fetch(f"{url}/a", tmp_path)
    assert fetched.url == f"{url}/b.pdf"
    assert fetched.path.read_bytes() == pdf_bytes()


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/html,x"])
def test_redirects_away_from_the_web_are_refused(serve: Serve, tmp_path: Path, target: str) -> None:
    url = serve({"/a": (302, {"Location": target}, b"")})
    with pytest.raises(DocumentError, match="cannot be fetched"):
        _fetch(f"{url}/a", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_redirects_to_other_private_hosts_are_refused(serve: Serve, tmp_path: Path) -> None:
    other = serve({"/secret.pdf": (200, {}, pdf_bytes())}).replace("127.0.0.1", "127.0.0.2")
    url = serve({"/a": (302, {"Location": f"{other}/secret.pdf"}, b"")})
    with pytest.raises(DocumentError, match="private address"):
        _fetch(f"{url}/a", tmp_path)


@pytest.mark.parametrize("status", [404, 500])
def test_refusals_of_the_server_are_named(serve: Serve, tmp_path: Path, status: int) -> None:
    url = serve({"/a": (status, {}, b"")})
    with pytest.raises(DocumentError, match=f"the server answered {status}"):
        _fetch(f"{url}/a", tmp_path)


@pytest.mark.parametrize("announced", [True, False])
def test_large_downloads_stop_at_the_limit(serve: Serve, tmp_path: Path, announced: bool) -> None:
    headers = {} if announced else {"Content-Length": ""}
    url = serve({"/a": (200, headers, bytes(100_000))})
    with pytest.raises(DocumentLimitError, match="max_bytes"):
        _fetch(f"{url}/a", tmp_path, Limits(max_bytes=50_000))


def test_cut_downloads_are_errors(serve: Serve, tmp_path: Path) -> None:
    url = serve({"/a": (200, {"Content-Length": "5000", "Connection": "close"}, bytes(100))})
    with pytest.raises(DocumentError, match="cannot be fetched"):
        _fetch(f"{url}/a", tmp_path, max_seconds=2)


def test_silent_servers_are_given_up_at_the_time_limit(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(DocumentLimitError, match="max_seconds"):
            _fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/a", tmp_path, max_seconds=0.3)


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://127.0.0.1:99999/", "http://a b/", "http://\x00/"]
)
def test_addresses_that_are_none_are_document_errors(tmp_path: Path, url: str) -> None:
    with pytest.raises(DocumentError) as caught:
        _fetch(url, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "0.0.0.0"])
def test_private_hosts_need_to_be_named_by_the_user(host: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        resolve(host, 80, own_hosts=["example.org"])
    assert resolve(host, 80, own_hosts=[host]) == host


def test_public_addresses_may_be_reached() -> None:
    assert resolve("93.184.215.14", 80, own_hosts=[]) == "93.184.215.14"


def test_host_of_an_address() -> None:
    assert host_of("https://User@Example.org:8080/x") == "example.org"
    assert host_of("http://[::1") == ""

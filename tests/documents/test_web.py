import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from leopard.documents import Limits, LoadOptions, WebOptions, load_pages
from leopard.documents.web_proxy import WebProxy
from leopard.errors import DocumentError, DocumentLimitError, HelperMissingError
from tests.documents.conftest import image_bytes, pdf_bytes

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
real = pytest.mark.skipif(
    not any(map(shutil.which, CHROMIUM_NAMES)), reason="Chromium is not installed"
)
LOW = {"target_dpi": 36}
RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


class _QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A browser that is ended hangs up in the middle of an answer."""


class Site:
    """A web server on the loopback; `asked` are the paths that were asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                if self.path not in site.answers:
                    self.send_error(404)
                    return
                kind, body = site.answers[self.path]
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def _main_colours(page: object) -> set[tuple[int, int, int]]:
    """Colours that cover at least 2 % of a page."""
    pixels = np.asarray(page).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    return {tuple(map(int, c)) for c in colours[counts > len(pixels) * 0.02]}


@real
def test_file_sees_its_folder_and_neither_scripts_nor_network_nor_other_files(
    tmp_path: Path, site: Site
) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "own.png").write_bytes(image_bytes("PNG", (300, 300), "blue"))
    (tmp_path / "outside.png").write_bytes(image_bytes("PNG", (300, 300), "yellow"))
    site.answers["/leak.png"] = ("image/png", image_bytes("PNG", (300, 300), "cyan"))
    (folder / "page.html").write_text(
        "<!doctype html><body style='margin:0;background:white'>"
        "<img src=own.png>"
        "<img src=../outside.png>"
        f"<img src='file://{tmp_path}/outside.png'><img src='{site.url}/leak.png'>"
        f"<iframe src='file://{tmp_path}/outside.png'></iframe>"
        f"<link rel=stylesheet href='{site.url}/leak.css'>"
        "<div id=a style='width:300px;height:300px;background:green'></div>"
        f"<script>a.style.background='red'; new Image().src='{site.url}/js'</script>"
    )
    loaded = load_pages([folder / "page.html"], options=LoadOptions(**LOW))
    (page,) = loaded.pages
    assert _main_colours(page.image) == {(255, 255, 255), BLUE, GREEN}
    assert site.asked == []


@real
def test_scripts_of_a_file_run_on_request_but_still_without_network(
    tmp_path: Path, site: Site
) -> None:
    (tmp_path / "page.html").write_text(
        "<!doctype html><div id=a style='width:600px;height:600px;background:green'></div>"
        f"<script>alert('stop'); a.style.background='red'; fetch('{site.url}/js');"
        f"new WebSocket('{site.url.replace('http', 'ws')}/ws')</script>"
    )
    options = LoadOptions(web=WebOptions(scripts_in_files=True), **LOW)
    (page,) = load_pages([tmp_path / "page.html"], options=options).pages
    assert RED in _main_colours(page.image)
    assert GREEN not in _main_colours(page.image)
    assert site.asked == []


@real
def test_long_page_is_split_into_pages_of_equal_height(tmp_path: Path) -> None:
    paragraphs = "".join(f"<p style='height:80px'>Paragraph {n}</p>" for n in range(45))
    (tmp_path / "long.html").write_text(f"<!doctype html><body>{paragraphs}")
    pages = load_pages([tmp_path / "long.html"], options=LoadOptions(target_dpi=72)).pages
    assert len(pages) in (3, 4)
    assert {str(page.size) for page in pages} == {"960x1200"}
    chosen = load_pages([tmp_path / "long.html"], options=LoadOptions(pages="2", **LOW)).pages
    assert [(page.number, page.num_pages) for page in chosen] == [(2, len(pages))]


@real
def test_address_is_loaded_with_scripts_and_what_is_on_its_host(site: Site) -> None:
    site.answers["/"] = (
        "text/html",
        b"<!doctype html><body style='margin:0'><img src=/own.png>"
        b"<img src=http://127.0.0.2:9/other.png>"
        b"<div id=a style='width:300px;height:300px;background:green'></div>"
        b"<script>fetch('/data').then(x=>x.text()).then(c=>a.style.background=c)</script>",
    )
    site.answers["/own.png"] = ("image/png", image_bytes("PNG", (300, 300), "blue"))
    site.answers["/data"] = ("text/plain", b"red")
    (page,) = load_pages([f"{site.url}/"], options=LoadOptions(**LOW)).pages
    assert _main_colours(page.image) == {(255, 255, 255), BLUE, RED}
    assert page.source == f"{site.url}/"


@real
def test_too_high_page_is_refused_with_both_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<!doctype html><div style='height:3000px'>x</div>")
    options = LoadOptions(limits=Limits(max_web_height_px=2500))
    with pytest.raises(DocumentLimitError, match=r"3,0\d\d CSS pixels.*2,500.*max_web_height_px"):
        load_pages([tmp_path / "a.html"], options=options)


@real
def test_page_that_never_finishes_is_given_up_and_the_browser_ended(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<!doctype html><script>while(true){}</script>")
    options = LoadOptions(web=WebOptions(scripts_in_files=True), limits=Limits(max_seconds=3))
    with pytest.raises(DocumentLimitError, match="more than the limit of 3 seconds"):
        load_pages([tmp_path / "a.html"], options=options)


def test_addresses_of_documents_need_no_browser(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, site: Site
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    site.answers["/a.pdf"] = ("application/pdf", pdf_bytes(2))
    site.answers["/b"] = ("image/png", image_bytes("PNG", (50, 40)))
    pages = load_pages([f"{site.url}/a.pdf", f"{site.url}/b"], options=LoadOptions(**LOW)).pages
    assert [page.label for page in pages] == [
        f"{site.url}/a.pdf, page 1",
        f"{site.url}/a.pdf, page 2",
        f"{site.url}/b",
    ]


def test_missing_browser_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, site: Site
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.html").write_text("<!doctype html>x")
    site.answers["/"] = ("text/html", b"<!doctype html>x")
    for source in (str(tmp_path / "a.html"), f"{site.url}/"):
        with pytest.raises(HelperMissingError, match=r"Chromium.*apt-get install chromium"):
            load_pages([source])


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo 'no usable sandbox' >&2; exit 1", "no usable sandbox"), ("exit 0", "Chromium ended")],
)
def test_browser_that_does_not_start_is_an_error_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, said: str
) -> None:
    program = tmp_path / "bin" / "chromium"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "a.html").write_text("<!doctype html>x")
    with pytest.raises(DocumentError, match=said):
        load_pages([tmp_path / "a.html"])


def test_browser_that_is_silent_is_given_up_at_the_time_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "chromium"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid; exec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "a.html").write_text("<!doctype html>x")
    with pytest.raises(DocumentLimitError, match="max_seconds"):
        load_pages([tmp_path / "a.html"], options=LoadOptions(limits=Limits(max_seconds=6)))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("path", "is_served"),
    [
        ("/page.html", True),
        ("/sub/a%20b.png", True),
        ("/../outside.png", False),
        ("/%2e%2e/outside.png", False),
        ("//etc/passwd", False),
        ("/link.png", False),
        ("/.hidden", False),
        ("/sub", False),
        ("/none.png", False),
        ("/a%00b", False),
    ],
)
def test_proxy_serves_the_folder_of_the_file_and_nothing_else(
    tmp_path: Path, path: str, is_served: bool
) -> None:
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    for name in ("site/page.html", "site/sub/a b.png", "site/.hidden", "outside.png"):
        (tmp_path / name).write_text("x")
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    with WebProxy(file=folder / "page.html", max_bytes=100) as proxy:
        assert (proxy.served_file(path) is not None) is is_served


def test_proxy_counts_bytes_up_to_its_limit() -> None:
    with WebProxy(max_bytes=100) as proxy:
        assert proxy.take(100)
        assert not proxy.is_over_limit
        assert not proxy.take(1)
        assert proxy.is_over_limit


def test_ends_of_pipes_are_closed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from leopard.documents import browser

    closed: list[int] = []
    monkeypatch.setattr(browser.os, "close", closed.append)
    with browser._OpenEnds() as ends:
        ends.ends = [101, 102]
        ends.close()
    assert sorted(closed) == [101, 102]

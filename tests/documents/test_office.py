import http.server
import io
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from leopard.documents import Limits, LoadOptions, load_pages
from leopard.documents.limits import Stopwatch
from leopard.documents.office import is_encrypted, office_to_pdf
from leopard.errors import DocumentFormatError, DocumentLimitError, HelperMissingError
from tests.documents.conftest import pdf_bytes

real = pytest.mark.skipif(
    shutil.which("soffice") is None, reason="LibreOffice (soffice) is not installed"
)

NAMESPACES = (
    " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{urn}:1.0"'
        for name, urn in [("office", "office"), ("text", "text"), ("draw", "drawing")]
    )
    + ' xmlns:xlink="http://www.w3.org/1999/xlink"'
)


def odt(body: str = "<text:p>Hello</text:p>", manifest: str = "") -> bytes:
    """A small OpenDocument text."""
    mimetype = "application/vnd.oasis.opendocument.text"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as package:
        package.writestr("mimetype", mimetype)
        package.writestr(
            "content.xml",
            f'<office:document-content {NAMESPACES} office:version="1.3"><office:body>'
            f"<office:text>{body}</office:text></office:body></office:document-content>",
        )
        package.writestr(
            "META-INF/manifest.xml",
            manifest
            or '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:'
            'manifest:1.0" manifest:version="1.3">'
            f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{mimetype}"/>'
            '<manifest:file-entry manifest:full-path="content.xml" '
            'manifest:media-type="text/xml"/></manifest:manifest>',
        )
    return stream.getvalue()


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "My Slides (1).odt"
    path.write_bytes(odt())
    return path


def _fake(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """Put a script named soffice first on the PATH."""
    (folder / "bin").mkdir()
    script = folder / "bin" / "soffice"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


def _convert(path: Path, folder: Path, max_seconds: float = 60) -> Path:
    watch = Stopwatch(Limits(max_seconds=max_seconds), path.name)
    folder.mkdir()
    with watch.running():
        return office_to_pdf(path, folder, source=path.name, watch=watch)


def test_program_gets_a_copy_a_fresh_profile_and_no_macros(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: Path
) -> None:
    (tmp_path / "ready.pdf").write_bytes(pdf_bytes())
    body = f'echo "$@" > {tmp_path}/args; mkdir out; cp {tmp_path}/ready.pdf out/document.pdf'
    _fake(monkeypatch, tmp_path, body)
    before = sorted(document.parent.iterdir())
    result = _convert(document, tmp_path / "work")
    assert result.read_bytes() == pdf_bytes()
    arguments = (tmp_path / "args").read_text()
    assert "--headless" in arguments
    assert "--convert-to pdf" in arguments
    assert "document.odt" in arguments
    assert "My Slides" not in arguments
    assert f"-env:UserInstallation=file://{tmp_path}/work/profile" in arguments
    settings = (tmp_path / "work/profile/user/registrymodifications.xcu").read_text()
    assert "DisableMacrosExecution" in settings
    assert {p.name for p in document.parent.iterdir()} - {p.name for p in before} == {
        "args",
        "work",
    }


def test_file_that_the_program_cannot_read_is_an_error_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: Path
) -> None:
    _fake(monkeypatch, tmp_path, "echo 'Error: source file could not be loaded'; exit 0")
    with pytest.raises(DocumentFormatError, match=r"source file could not be loaded.*save it as"):
        _convert(document, tmp_path / "work")


def test_silent_failure_names_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: Path
) -> None:
    _fake(monkeypatch, tmp_path, "exit 77")
    with pytest.raises(DocumentFormatError, match="exit code 77"):
        _convert(document, tmp_path / "work")


def test_program_that_hangs_is_ended_at_the_time_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: Path
) -> None:
    _fake(monkeypatch, tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(DocumentLimitError, match=r"more than the limit of 1 seconds.*max_seconds"):
        _convert(document, tmp_path / "work", max_seconds=1)
    child = Path("/proc") / (tmp_path / "child").read_text().strip()
    for _ in range(100):
        if not (child / "cmdline").exists() or not (child / "cmdline").read_bytes():
            break
        time.sleep(0.05)
    assert not (child / "cmdline").exists() or not (child / "cmdline").read_bytes()


def test_missing_program_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HelperMissingError, match=r"LibreOffice.*apt-get install libreoffice"):
        load_pages([document])


def test_other_files_of_a_batch_go_on_without_the_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "b.pdf").write_bytes(pdf_bytes(2))
    loaded = load_pages([document, tmp_path / "b.pdf"], on_error="collect")
    assert len(loaded.pages) == 2
    assert [type(error) for error in loaded.failures] == [HelperMissingError]


def test_encrypted_packages_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: Path
) -> None:
    _fake(monkeypatch, tmp_path, "exit 0")
    locked_odf, locked_ooxml = tmp_path / "locked.odt", tmp_path / "locked.docx"
    locked_odf.write_bytes(odt(manifest="<manifest:encryption-data/>"))
    name = "EncryptedPackage".encode("utf-16-le")
    locked_ooxml.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(900) + name)
    assert not is_encrypted(document, source="a")
    for path in (locked_odf, locked_ooxml):
        assert is_encrypted(path, source="a")
        with pytest.raises(DocumentFormatError, match=r"encrypted.*without password"):
            load_pages([path])


@real
def test_real_document_becomes_pages(document: Path) -> None:
    loaded = load_pages([document], options=LoadOptions(target_dpi=72))
    (page,) = loaded.pages
    assert page.source == str(document)
    assert page.size.width == pytest.approx(612, abs=20)
    assert np.asarray(page.image).min() < 100


@pytest.mark.slow
@real
def test_real_damaged_document_is_an_error(tmp_path: Path) -> None:
    content = bytearray(odt())
    place = content.index(b"<office:document-content")
    content[place : place + 60] = b"\xff" * 60
    (tmp_path / "a.odt").write_bytes(content)
    with pytest.raises(DocumentFormatError, match="LibreOffice could not convert it"):
        load_pages([tmp_path / "a.odt"])


@pytest.fixture
def picture_server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_OPTIONS = do_PROPFIND = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@real
def test_real_document_does_not_reach_the_network(
    tmp_path: Path, picture_server: tuple[str, list[str]]
) -> None:
    url, asked = picture_server
    picture = (
        '<text:p>Seen<draw:frame draw:name="a" text:anchor-type="as-char">'
        f'<draw:image xlink:href="{url}/leak.png" xlink:type="simple" '
        'xlink:show="embed" xlink:actuate="onLoad"/></draw:frame></text:p>'
    )
    (tmp_path / "a.odt").write_bytes(odt(picture))
    assert len(load_pages([tmp_path / "a.odt"]).pages) == 1
    assert asked == []

import io
import zipfile
from pathlib import Path

import pytest

from leopard.documents.kinds import Kind, detect_kind, kind_by_content, kind_by_name
from leopard.errors import DocumentError, DocumentFormatError
from tests.documents.conftest import image_bytes, pdf_bytes


def _zip(*names: str, mimetype: str = "") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as package:
        if mimetype:
            package.writestr("mimetype", mimetype)
        for name in names:
            package.writestr(name, "x")
    return stream.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)
ODP = _zip("content.xml", mimetype="application/vnd.oasis.opendocument.presentation")
CONTENTS = [
    (lambda: pdf_bytes(), Kind.PDF),
    (lambda: b"junk before\n" + pdf_bytes(), Kind.PDF),
    (lambda: image_bytes("PNG"), Kind.IMAGE),
    (lambda: image_bytes("JPEG"), Kind.IMAGE),
    (lambda: image_bytes("WEBP"), Kind.IMAGE),
    (lambda: image_bytes("GIF"), Kind.IMAGE),
    (lambda: image_bytes("BMP"), Kind.IMAGE),
    (lambda: image_bytes("TIFF"), Kind.IMAGE),
    (lambda: _zip("[Content_Types].xml", "ppt/presentation.xml"), Kind.OFFICE),
    (lambda: _zip("[Content_Types].xml", "word/document.xml"), Kind.OFFICE),
    (lambda: ODP, Kind.OFFICE),
    (lambda: OLE, Kind.OFFICE),
    (lambda: b"{\\rtf1 hello}", Kind.OFFICE),
    (lambda: b"\xef\xbb\xbf  <!DOCTYPE HTML><p>x", Kind.WEB),
    (lambda: b"<!-- note --><html><p>x", Kind.WEB),
]


@pytest.mark.parametrize(("content", "kind"), CONTENTS)
@pytest.mark.parametrize("name", ["a.pdf", "a.png", "a.docx", "a.html", "a.txt", "a"])
def test_content_decides_whatever_the_name(
    tmp_path: Path, name: str, content: object, kind: Kind
) -> None:
    path = tmp_path / name
    path.write_bytes(content())  # type: ignore[operator]
    assert detect_kind(path, source=name) is kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("A.PDF", Kind.PDF), ("b.JPeG", Kind.IMAGE), ("c.odp", Kind.OFFICE), ("d.htm", Kind.WEB)],
)
def test_names_tell_the_kind_without_regard_to_case(name: str, kind: Kind) -> None:
    assert kind_by_name(name) is kind


def test_html_without_tags_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("just <b>some</b> text")
    assert detect_kind(path, source="a.html") is Kind.WEB


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", b"", "empty"),
        ("a.pdf", b"plain text", "named .pdf but its content is text"),
        ("a.docx", _zip("other.txt"), "named .docx but .* ZIP archive"),
        ("a.docx", ODP[:40], "ZIP archive"),
        ("a.txt", b"plain text", "it is text, which has no pages.*PDF, PNG"),
        ("a.bin", b"\x00\x01\x02\x03", "starts with bytes 00 01 02 03"),
        ("a.html", b"\x00\x01\x02\x03", "named .html"),
        ("a", b"BM is how this text starts, and goes on", "text"),
    ],
)
def test_other_content_is_refused_with_its_reason(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DocumentFormatError, match=said):
        detect_kind(path, source=name)


def test_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no such file"):
        detect_kind(tmp_path / "none.pdf", source="none.pdf")


def test_packages_need_their_file_to_be_told() -> None:
    assert kind_by_content(ODP) is None

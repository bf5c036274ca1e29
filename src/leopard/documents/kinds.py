"""What a file is: told by its first bytes, with the name as a second witness.

Knows the signatures of formats and nothing else about them.
"""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path

from leopard.documents.document import one_line
from leopard.errors import DocumentError, DocumentFormatError

HEAD_BYTES = 4096


class Kind(Enum):
    """The backend that reads a file."""

    PDF = "PDF"
    IMAGE = "image"
    OFFICE = "office file"
    WEB = "web page"


SUFFIXES: dict[Kind, tuple[str, ...]] = {
    Kind.PDF: (".pdf",),
    Kind.IMAGE: (
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff"),
    ),
    Kind.OFFICE: (
        *(".pptx", ".pptm", ".ppsx", ".ppt", ".pps", ".odp"),
        *(".docx", ".docm", ".doc", ".odt", ".rtf"),
        *(".xlsx", ".xlsm", ".xls", ".ods"),
    ),
    Kind.WEB: (".html", ".htm", ".xhtml"),
}
"""File name endings of each kind, in lower case."""

_IMAGE_SIGNATURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
)
_OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OFFICE_FOLDERS = ("word/", "ppt/", "xl/")
_OPEN_DOCUMENT = b"application/vnd.oasis.opendocument."
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")
_SUPPORTED = "PDF, PNG, JPEG, WebP, GIF, BMP, TIFF, office and HTML files can be read"


def kind_by_name(name: str) -> Kind | None:
    """The kind that a file name's ending stands for, or None."""
    suffix = Path(name).suffix.lower()
    return next((kind for kind, suffixes in SUFFIXES.items() if suffix in suffixes), None)


def read_head(path: Path, *, source: str) -> bytes:
    """The first bytes of a file.

    Raises:
        DocumentError: If it cannot be opened.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        raise unreadable(error, source=source) from error


def unreadable(error: OSError | ValueError, *, source: str) -> DocumentError:
    """The error of a path that the operating system does not let us read."""
    if isinstance(error, FileNotFoundError):
        return DocumentError(
            "there is no such file", source=source, remedy="check the name and the folder"
        )
    if isinstance(error, PermissionError):
        return DocumentError(
            "permission to read it is denied", source=source, remedy="change its permissions"
        )
    reason = getattr(error, "strerror", None) or one_line(error)
    return DocumentError(
        f"it cannot be read ({reason})", source=source, remedy="check the name and the disk"
    )


def kind_by_content(head: bytes, path: Path | None = None) -> Kind | None:
    """The kind that the first bytes show, or None.

    Args:
        head: The first bytes of the file, up to `HEAD_BYTES`.
        path: The file, to look into ZIP packages; without it every ZIP is None.
    """
    if b"%PDF-" in head[:1024]:
        return Kind.PDF
    if head.startswith(_IMAGE_SIGNATURES) or _is_webp(head) or _is_bmp(head):
        return Kind.IMAGE
    if head.startswith((_OLE_SIGNATURE, b"{\\rtf")):
        return Kind.OFFICE
    if head.startswith(b"PK\x03\x04"):
        return Kind.OFFICE if path is not None and _is_office_package(path) else None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_HTML_STARTS) or (text.startswith((b"<?xml", b"<!--")) and b"<html" in text):
        return Kind.WEB
    return None


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_bmp(head: bytes) -> bool:
    # "BM" alone starts many a text; the reserved words and the header size make it sure.
    sizes = (12, 40, 52, 56, 64, 108, 124)
    return head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:15] in map(_byte, sizes)


def _byte(value: int) -> bytes:
    return bytes([value])


def _is_office_package(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as package:
            names = package.namelist()
            if any(name.startswith(_OFFICE_FOLDERS) for name in names):
                return "[Content_Types].xml" in names
            if "mimetype" not in names:
                return False
            with package.open("mimetype") as entry:
                return entry.read(100).startswith(_OPEN_DOCUMENT)
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, NotImplementedError, EOFError):
        return False


def detect_kind(path: Path, *, source: str) -> Kind:
    """Decide which backend reads a file. Content decides; the name decides for HTML without tags.

    Raises:
        DocumentError: If the file is missing, unreadable, empty or of no known kind.
    """
    head = read_head(path, source=source)
    if not head:
        raise DocumentFormatError("the file is empty", source=source, remedy="write it anew")
    kind = kind_by_content(head, path)
    if kind is not None:
        return kind
    named = kind_by_name(path.name)
    if named is Kind.WEB and _is_text(head):
        return Kind.WEB
    if named is not None:
        raise DocumentFormatError(
            f"it is named {path.suffix} but its content is {_describe(head)}",
            source=source,
            remedy="save it again from the program that made it",
        )
    raise DocumentFormatError(
        f"it is {_describe(head)}, which has no pages", source=source, remedy=_SUPPORTED
    )


def _is_text(head: bytes) -> bool:
    return b"\0" not in head and sum(byte < 9 for byte in head) == 0


def _describe(head: bytes) -> str:
    if head.startswith(b"PK\x03\x04"):
        return "a ZIP archive that is no whole office file"
    if _is_text(head):
        return "text"
    return f"of an unknown kind (starts with bytes {head[:4].hex(' ')})"

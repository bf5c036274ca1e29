"""Uploaded files, kept for a while in a folder that ends with the server.

Each belongs to the key that sent it; others do not see it. Knows nothing of HTTP or of what is in
the files.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from leopard.serving.errors import ApiError
from leopard.serving.pages import Content
from leopard.serving.settings import ServingSettings

_CHUNK_BYTES = 2**20
_LONGEST_NAME = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """One uploaded file."""

    file_id: str
    name: str
    """Name for people; never used as a path."""
    owner: str
    purpose: str
    num_bytes: int
    num_pages: int
    digest: str
    """SHA-256 of the bytes, in hex."""
    path: Path
    created_at: float
    """Seconds since 1970."""
    expires_at: float
    """Seconds since 1970."""

    @property
    def content(self) -> Content:
        """The bytes, to be read into pages."""
        return Content(self.name, self.digest, path=self.path)


class FileStore:
    """Files by id.

    Args:
        settings: Limits.
        clock: Seconds since 1970.
    """

    def __init__(
        self, settings: ServingSettings, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._folder = TemporaryDirectory(prefix="leopard-files-", ignore_cleanup_errors=True)
        self._files: dict[str, StoredFile] = {}

    def __len__(self) -> int:
        return len(self._files)

    @property
    def num_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.num_bytes for file in self._files.values())

    def save(self, stream: IO[bytes], name: str) -> Content:
        """Copy bytes into the folder; `add` makes a file of them, `discard` removes them.

        Raises:
            ApiError: 413 if the file or the store would be too large.
        """
        self.expire()
        if len(self._files) >= self._settings.max_files:
            raise ApiError(
                413,
                f"there are {len(self._files)} files, which is the limit; delete some first",
                code="store_full",
            )
        path = Path(self._folder.name) / secrets.token_hex(12)
        digest = hashlib.sha256()
        total = 0
        try:
            with path.open("xb") as target:
                while chunk := stream.read(_CHUNK_BYTES):
                    total += len(chunk)
                    self._check_bytes(total)
                    digest.update(chunk)
                    target.write(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Content(_plain_name(name), digest.hexdigest(), path=path)

    def discard(self, content: Content) -> None:
        """Remove bytes that did not become a file."""
        assert content.path is not None
        content.path.unlink(missing_ok=True)

    def add(self, content: Content, *, owner: str, purpose: str, num_pages: int) -> StoredFile:
        """Make a file of saved bytes."""
        assert content.path is not None
        now = self._clock()
        file = StoredFile(
            file_id=f"file-{content.path.name}",
            name=content.name,
            owner=owner,
            purpose=purpose,
            num_bytes=content.path.stat().st_size,
            num_pages=num_pages,
            digest=content.digest,
            path=content.path,
            created_at=now,
            expires_at=now + self._settings.file_lifetime_s,
        )
        self._files[file.file_id] = file
        return file

    def get(self, file_id: str, *, owner: str) -> StoredFile:
        """A file of an owner.

        Raises:
            ApiError: 404 if there is none, whoever else may have it.
        """
        self.expire()
        file = self._files.get(file_id)
        if file is None or file.owner != owner:
            raise ApiError(
                404,
                f"there is no file {file_id[:64]!r}; it may have expired: upload it again",
                code="file_not_found",
                param="file_id",
            )
        return file

    def list(self, *, owner: str) -> list[StoredFile]:
        """All files of an owner, newest first."""
        self.expire()
        return [file for file in reversed(self._files.values()) if file.owner == owner]

    def delete(self, file_id: str, *, owner: str) -> None:
        """Delete a file.

        Raises:
            ApiError: 404 if there is none.
        """
        file = self.get(file_id, owner=owner)
        del self._files[file_id]
        file.path.unlink(missing_ok=True)

    def expire(self) -> None:
        """Delete files whose time is over."""
        now = self._clock()
        for file in [file for file in self._files.values() if file.expires_at <= now]:
            del self._files[file.file_id]
            file.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Delete everything."""
        self._files.clear()
        self._folder.cleanup()

    def _check_bytes(self, total: int) -> None:
        settings = self._settings
        if total > settings.max_file_bytes:
            raise ApiError(
                413,
                f"the file has more than {settings.max_file_bytes:,} bytes, which is the limit; "
                "split it",
                code="file_too_large",
            )
        if self.num_bytes + total > settings.max_store_bytes:
            raise ApiError(
                413,
                f"all files together would have more than {settings.max_store_bytes:,} bytes, "
                "which is the limit; delete some first",
                code="store_full",
            )


def _plain_name(name: str) -> str:
    """The last part of a name, printable and of sane length."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(letter if letter.isprintable() else "?" for letter in last)
    return plain[-_LONGEST_NAME:] or "file"

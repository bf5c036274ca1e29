"""API keys: shown once, kept as hashes, compared in constant time.

A file holds one key a line: its name and the SHA-256 of the key. Keys are 256 random bits, so a
plain hash cannot be searched; passwords would need a slow one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from leopard.errors import ConfigError

PREFIX = "lp-"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def hash_key(key: str) -> str:
    """SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKeys:
    """Keys that open the server; without any it is open.

    Args:
        digests: SHA-256 of each key, by its owner's name.
    """

    def __init__(self, digests: Mapping[str, str] | None = None) -> None:
        self._digests = dict(digests or {})

    def __len__(self) -> int:
        return len(self._digests)

    @classmethod
    def load(cls, path: Path) -> ApiKeys:
        """Read a key file.

        Raises:
            ConfigError: If it cannot be read, is empty, or a line is not a name and a hash.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: the key file cannot be read ({error})") from error
        digests: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            name, _, digest = line.strip().partition(" ")
            if not (_NAME.fullmatch(name) and _DIGEST.fullmatch(digest)) or name in digests:
                raise ConfigError(
                    f"{path}, line {number}: it must be a new name and the SHA-256 of a key in "
                    "hex; make lines with: leopard serve-key"
                )
            digests[name] = digest
        if not digests:
            raise ConfigError(f"{path}: there is no key in it; make one with: leopard serve-key")
        return cls(digests)

    def owner(self, key: str) -> str | None:
        """Name of a key's owner, or None; takes as long for any wrong key."""
        given = hash_key(key)
        found = None
        for name, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = name
        return found


def add_key(path: Path, name: str) -> str:
    """Make a key, add its hash to a file, and return the key, which is kept nowhere.

    Raises:
        ConfigError: If the name is taken or unfit, or the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"key name {name!r} is unfit; use 1 to 64 letters, digits, dots, dashes, underscores"
        )
    digests = ApiKeys.load(path)._digests if path.exists() else {}
    if name in digests:
        raise ConfigError(f"{path}: there is a key named {name}; take another name")
    key = PREFIX + secrets.token_urlsafe(32)
    lines = [f"{owner} {digest}" for owner, digest in {**digests, name: hash_key(key)}.items()]
    temporary = path.with_name(path.name + ".tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: the key file cannot be written ({error.strerror})") from error
    return key

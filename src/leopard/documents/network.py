"""Fetching what the user named by address, and which addresses may be reached for it.

The rule: the host that the user named may be reached wherever it is; any other host only at
public addresses. So no public page can make this machine read from a private network.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import urllib.error
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from leopard.documents.document import one_line
from leopard.documents.kinds import HEAD_BYTES, Kind, kind_by_content
from leopard.documents.limits import Limits, Stopwatch
from leopard.errors import DocumentError

_CHUNK_BYTES = 1 << 16
_STALL_S = 30.0
_WEB_TYPES = ("text/html", "application/xhtml+xml")
_USER_AGENT = "Mozilla/5.0 (compatible; leopard document reader)"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A download."""

    url: str
    """The address after redirects."""
    path: Path
    """The bytes."""
    is_web_page: bool
    """Whether it is HTML rather than a document."""


class ForbiddenAddressError(OSError):
    """A host is at a private address and was not named by the user."""


def resolve(host: str, port: int, *, own_hosts: Collection[str]) -> str:
    """Address to connect to for a host.

    Args:
        host: Host name or address.
        port: Port, for the look-up.
        own_hosts: Hosts that may be at private addresses, in lower case.

    Raises:
        ForbiddenAddressError: If the host is private and not one of `own_hosts`.
        OSError: If it cannot be looked up.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host!r} is no host name") from error
    addresses = [str(entry[4][0]) for entry in found]
    if host.lower() not in own_hosts:
        for address in addresses:
            if not ipaddress.ip_address(address.partition("%")[0]).is_global:
                raise ForbiddenAddressError(f"{host} is at a private address")
    return addresses[0]


def host_of(url: str) -> str:
    """Host of an address in lower case, empty if there is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


class _CarefulRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and to private hosts only on the same host."""

    def __init__(self, own_host: str) -> None:
        self._own_host = own_host

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        parts = urlsplit(newurl)
        if parts.scheme not in ("http", "https"):
            raise urllib.error.URLError(f"it redirects to a {parts.scheme}:// address")
        resolve(host_of(newurl), parts.port or 80, own_hosts=[self._own_host])
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, folder: Path, *, limits: Limits, watch: Stopwatch) -> Fetched:
    """Download what an address names.

    Args:
        url: An http or https address. Proxies of the environment are not used.
        folder: An existing folder for the download.
        limits: Limit of bytes.
        watch: Seconds left for the document.

    Raises:
        DocumentError: If the server does not answer with a document.
        DocumentLimitError: If the download is too large or takes too long.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        _CarefulRedirects(host_of(url)),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", _USER_AGENT), ("Accept", "*/*")]
    try:
        with opener.open(url, timeout=min(_STALL_S, watch.remaining_s)) as response:
            path = folder / _file_name(response.url)
            _save(response, path, url=url, limits=limits, watch=watch)
            content_type = response.headers.get_content_type()
            return Fetched(response.url, path, _is_web_page(path, content_type))
    except TimeoutError as error:
        raise watch.error() from error
    except urllib.error.HTTPError as error:
        raise _not_fetched(url, f"the server answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(getattr(error, "reason", None), TimeoutError):
            raise watch.error() from error
        raise _not_fetched(url, str(getattr(error, "reason", error))) from error


def _not_fetched(url: str, reason: str) -> DocumentError:
    return DocumentError(
        f"it cannot be fetched ({one_line(reason)})",
        source=url,
        remedy="check the address and the network",
    )


def _file_name(url: str) -> str:
    """A harmless file name with the ending of the address."""
    suffix = PurePosixPath(unquote(urlsplit(url).path)).suffix
    return "download" + (suffix if suffix[1:].isalnum() and len(suffix) <= 8 else "")


def _save(response: Any, path: Path, *, url: str, limits: Limits, watch: Stopwatch) -> None:
    length = response.headers.get("Content-Length", "")
    if length.isdecimal():
        limits.check_bytes(int(length), source=url)
    total = 0
    with path.open("wb") as stream:
        while chunk := response.read1(_CHUNK_BYTES):
            total += len(chunk)
            limits.check_bytes(total, source=url)
            watch.check()
            stream.write(chunk)
    if length.isdecimal() and total < int(length):
        raise OSError(f"the connection ended after {total:,} of {int(length):,} bytes")


def _is_web_page(path: Path, content_type: str) -> bool:
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    kind = kind_by_content(head, path)
    return kind is Kind.WEB or (kind is None and content_type in _WEB_TYPES and bool(head))

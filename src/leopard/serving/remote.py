"""Pictures by web address: refused unless the operator named the host, and never from private nets.

The address that was checked is the one connected to, so that a name cannot change its mind between;
redirects are not followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from leopard.serving.errors import ApiError
from leopard.serving.settings import ServingSettings

_CHUNK_BYTES = 2**16
_TIMEOUT_S = 15.0
_USER_AGENT = "leopard-server"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolver = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class RemoteFetcher:
    """Fetches what may be fetched.

    Args:
        settings: Hosts and limits.
        resolver: Looks host names up; replaced in tests.
    """

    settings: ServingSettings
    resolver: Resolver = socket.getaddrinfo

    def fetch(self, url: str) -> bytes:
        """Bytes of an http or https address.

        Raises:
            ApiError: 400 if the address may not be fetched or does not answer with a file.
        """
        parts = self.check(url)
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        address = self._public_address(host, port)
        connection = _connection(parts.scheme, host, port, address)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"User-Agent": _USER_AGENT, "Accept": "*/*"})
            return self._body(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _refused(f"{host} did not answer ({type(error).__name__})") from error
        finally:
            connection.close()

    def check(self, url: str) -> SplitResult:
        """The parts of an address that may be fetched as far as its text can tell.

        Raises:
            ApiError: 400 if not.
        """
        try:
            parts = urlsplit(url)
            host, _ = (parts.hostname or "").lower(), parts.port
        except ValueError as error:
            raise _refused("it is no address") from error
        if parts.scheme not in ("http", "https"):
            raise _refused("only data:, and where allowed http: and https: addresses are read")
        if host not in {allowed.lower() for allowed in self.settings.fetch_hosts}:
            raise _refused(
                "this server fetches no addresses from that host; send the image as a data: "
                "address, or start the server with --fetch-host"
            )
        if parts.username is not None or not url.isascii() or any(c <= " " for c in url):
            raise _refused("user names, blanks and letters outside ASCII are not taken")
        return parts

    def _public_address(self, host: str, port: int) -> str:
        try:
            found = self.resolver(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _refused(f"{host} cannot be looked up") from error
        addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
        if not addresses or not all(map(is_public, addresses)):
            raise _refused(f"{host} is at a private address, which is never fetched from")
        return addresses[0]

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        if response.status != 200:
            raise _refused(f"the other server answered {response.status}, and 200 is needed")
        data = bytearray()
        deadline = time.monotonic() + self.settings.document_timeout_s
        while chunk := response.read1(_CHUNK_BYTES):
            data += chunk
            if len(data) > self.settings.max_file_bytes:
                raise _refused(f"it has more than {self.settings.max_file_bytes:,} bytes")
            if time.monotonic() > deadline:
                raise _refused(f"it took more than {self.settings.document_timeout_s:g} seconds")
        return bytes(data)


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, addresses inside addresses included."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _connection(scheme: str, host: str, port: int, address: str) -> http.client.HTTPConnection:
    connection: http.client.HTTPConnection
    if scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    # The name stays for the Host header and the certificate; the socket goes where we looked.
    connection._create_connection = (  # type: ignore[attr-defined]
        lambda _, *rest: socket.create_connection((address, port), *rest)
    )
    return connection


def _refused(reason: str) -> ApiError:
    return ApiError(400, f"image address: {reason}", code="address_refused", param="image_url")

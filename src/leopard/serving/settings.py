"""What the server may cost and whom it listens to."""

from __future__ import annotations

import ipaddress

from pydantic import Field

from leopard.config import Settings

MB = 2**20


class ServingSettings(Settings):
    """Settings of the server; every input has a limit."""

    host: str = "127.0.0.1"
    """Address to listen on; the default cannot be reached from other machines."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    host_names: tuple[str, ...] = ()
    """Names besides `host` that clients may call the server by; `*` takes all."""
    max_queue: int = Field(default=64, ge=0)
    """Most requests that wait; further ones are refused with 503 and Retry-After."""
    max_request_bytes: int = Field(default=64 * MB, ge=1)
    """Most bytes of a request, inline images included."""
    max_file_bytes: int = Field(default=128 * MB, ge=1)
    """Most bytes of an uploaded file."""
    max_store_bytes: int = Field(default=1024 * MB, ge=1)
    """Most bytes of all uploaded files."""
    max_files: int = Field(default=500, ge=1)
    """Most uploaded files."""
    file_lifetime_s: float = Field(default=24 * 3600.0, gt=0)
    """Seconds after which an uploaded file is deleted."""
    max_inputs: int = Field(default=64, ge=1)
    """Most images and files of one request."""
    max_pages: int = Field(default=500, ge=1)
    """Most pages of one request."""
    max_page_pixels: int = Field(default=40_000_000, ge=1)
    """Most pixels of one page."""
    max_request_pixels: int = Field(default=200_000_000, ge=1)
    """Most pixels of all pages of a request."""
    page_cache_bytes: int = Field(default=512 * MB, ge=0)
    """Most bytes of drawn pages kept for later questions."""
    default_new_tokens: int = Field(default=512, ge=1)
    """Most tokens of an answer when the request does not say."""
    max_new_tokens: int = Field(default=4096, ge=1)
    """Most tokens that a request may ask for."""
    receive_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds in which a request must arrive."""
    document_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds of work on one document."""
    request_timeout_s: float = Field(default=600.0, gt=0)
    """Seconds from the request to the end of its answer, waiting included."""
    send_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds that a client may leave what is sent unread."""
    keep_alive_s: float = Field(default=10.0, gt=0)
    """Seconds of silence after which a stream sends a comment."""
    shutdown_grace_s: float = Field(default=15.0, ge=0)
    """Seconds that running answers are given when the server is told to stop."""
    fetch_hosts: tuple[str, ...] = ()
    """Hosts whose http(s) addresses may be fetched; private address ranges never are."""
    office_files: bool = False
    """Whether office and HTML files are read too, which starts helper programs."""
    log_content: bool = False
    """Whether questions and answers appear in log lines."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

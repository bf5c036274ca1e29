"""Runs the application in uvicorn, and ends it gracefully."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from leopard.errors import ConfigError
from leopard.serving.service import Service
from leopard.serving.settings import ServingSettings

log = logging.getLogger("leopard.serving")

_MOST_CONNECTIONS = 1024
_KEEP_ALIVE_S = 15
_BACKLOG = 1024


class Server(uvicorn.Server):
    """A server that tells its service to admit nothing more as soon as it is told to stop.

    Args:
        app: The application, from `build_app`.
        settings: Address and times.
        on_ready: Called with the address when questions can be asked.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: ServingSettings,
        *,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        self._service: Service = app.state.service
        self._on_ready = on_ready
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            access_log=False,
            log_level="warning",
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=round(settings.shutdown_grace_s),
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started and self._on_ready is not None:
            self._on_ready(self.address)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers that run end within the grace, and stop."""
        self._service.stop_admitting()
        await super().shutdown(sockets)

    @property
    def address(self) -> str:
        """Where the server listens."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    app: FastAPI, settings: ServingSettings, *, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serve until told to stop by SIGINT or SIGTERM.

    Raises:
        ConfigError: If the address cannot be listened on.
    """
    bound = _listen(settings)
    with bound:
        Server(app, settings, on_ready=on_ready).run(sockets=[bound])


def _listen(settings: ServingSettings) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise ConfigError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}); choose "
            "another --port, or stop what uses this one"
        ) from error
    return bound

"""Run an application in uvicorn on its own socket, with time limits for slow clients. Loads no torch."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from faceaug.errors import RefusedError
from faceaug.serve.connection import HEAD, PATIENCE, connect
from faceaug.serve.limits import Connections

GRACE = 10  # seconds for pending requests when the server is told to stop


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        RefusedError: the address cannot be used, or is in use.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
        # Event loops do not configure foreign sockets. Head and body are written separately, and without TCP_NODELAY
        # the system would delay bodies until clients acknowledge the heads, 40 ms. Connections inherit the option.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise RefusedError(f"cannot listen on {host}, port {port} ({error.strerror}); try another --port") from error


def server_of(app: Callable[..., Any]) -> uvicorn.Server:
    """A server of an application; ``run(sockets=[...])`` serves until SIGINT, SIGTERM or ``should_exit``."""
    config = uvicorn.Config(
        app,
        http=connect(Connections()),  # type: ignore[arg-type, unused-ignore]
        lifespan="on",
        log_level=logging.ERROR,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        h11_max_incomplete_event_size=HEAD,
        timeout_keep_alive=int(PATIENCE),
        timeout_graceful_shutdown=GRACE,
    )
    return uvicorn.Server(config)

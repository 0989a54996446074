"""`faceaug serve`: the application behind uvicorn, on a socket of its own, with time limits for slow clients."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from faceaug.errors import ArgumentError, RefusedError
from faceaug.serve.app import create_app
from faceaug.serve.engine import Engine, Loader
from faceaug.synthesize import load_model
from faceaug.synthesize.weights import BUNDLED

PATIENCE = 5.0  # seconds for a client to send its request, and to take its answer
CONNECTIONS = 800  # open at a time; beyond it the answer is 503
HEAD = 16 * 1024  # bytes of a request's line and headers
GRACE = 10  # seconds for requests under way when the server is told to stop


def offered(models: Sequence[str | Path]) -> dict[str, Loader]:
    """Models by the name a request gives: the ones named, or, with none named, all bundled ones.

    Args:
        models: bundled names, model folders or run folders; a folder is offered under its own name.

    Raises:
        ArgumentError: two would have the same name.
    """
    found: dict[str, Loader] = {}
    for model in models or tuple(BUNDLED):
        name = str(model) if str(model) in BUNDLED else Path(model).resolve().name
        if name in found:
            raise ArgumentError(f"--model {model}: a model named {name} is offered already; rename the folder")
        found[name] = partial(load_model, model)
    return found


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        RefusedError: the address cannot be used, or is in use.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise RefusedError(f"cannot listen on {host}, port {port} ({error.strerror}); try another --port") from error


def run_server(
    models: Sequence[str | Path] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    rate: float = 0.0,
    on_listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way; raises KeyboardInterrupt at the end.

    Args:
        models: see ``offered``; the first is the default. All are loaded before anything is served.
        host: address to bind; anything but a loopback address lets others in.
        port: 0 takes a free one.
        rate: requests for faces per second and client address; 0 for no limit.
        on_listening: called with the page's URL once connections are accepted.

    Raises:
        ArgumentError, WeightsError: a model is unknown or damaged.
        RefusedError: the address is in use.
    """
    engine = Engine(offered(models))
    for name in engine.names:
        engine.model(name)  # what is wrong with a model is said now, not to the first who asks for it
    door = listen(host, port)
    config = uvicorn.Config(
        create_app(engine, rate=rate, host=host), http=_Patient,  # type: ignore[arg-type, unused-ignore]
        lifespan="on", log_level=logging.WARNING, access_log=False, server_header=False, proxy_headers=False, ws="none",
        limit_concurrency=CONNECTIONS, h11_max_incomplete_event_size=HEAD, timeout_keep_alive=int(PATIENCE),
        timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    with door:
        shown = f"[{host}]" if ":" in host else host
        on_listening(f"http://{shown}:{door.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[door])


class _Patient(asyncio.Protocol):
    """uvicorn's HTTP protocol, with an end to its patience.

    uvicorn closes idle connections, but waits for ever for a request that arrives a byte at a time, and for a client
    that does not read its answer. This looks in every second.
    """

    def __init__(self, **given: Any) -> None:
        self._inner = H11Protocol(**given)
        self._transport: asyncio.Transport | None = None
        self._cycle: Any = None  # the request seen at the last look
        self._served = 0.0  # when a request was last being worked on, and the client took what it was sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport, self._served = transport, asyncio.get_running_loop().time()
            self._inner.connection_made(transport)
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _look(self) -> None:
        if self._transport is None:
            return
        loop = asyncio.get_running_loop()
        cycle = self._inner.cycle
        working = cycle is not self._cycle or (cycle is not None and not cycle.response_complete)
        if working and not self._transport.get_write_buffer_size():
            self._cycle, self._served = cycle, loop.time()
        elif loop.time() - self._served > PATIENCE:
            self._transport.abort()
            return
        loop.call_later(1.0, self._look)

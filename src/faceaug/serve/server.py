"""`faceaug serve`: the application behind uvicorn, on a socket of its own, with time limits for slow clients."""

from __future__ import annotations

import gc
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn

from faceaug.errors import ArgumentError, RefusedError
from faceaug.serve.app import checked_root, create_app
from faceaug.serve.connection import HEAD, PATIENCE, connect
from faceaug.serve.engine import Engine, Loader
from faceaug.serve.limits import Connections
from faceaug.serve.log import log_to_stderr
from faceaug.synthesize import load_model
from faceaug.synthesize.render import RenderPrecision
from faceaug.synthesize.weights import BUNDLED, default_model

GRACE = 10  # seconds for requests under way when the server is told to stop


def offered(models: Sequence[str | Path]) -> dict[str, Loader]:
    """Models by the name a request gives: the ones named, or, with none named, all bundled ones, the default first.

    Args:
        models: bundled names, model folders or run folders; a folder is offered under its own name.

    Raises:
        ArgumentError: two would have the same name.
    """
    found: dict[str, Loader] = {}
    for model in models or sorted(BUNDLED, key=default_model().__ne__):
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
        door = socket.create_server((host, port), family=family, backlog=1024)
        # Event loops leave a socket made by others alone, and heads and bodies are written one after the other: the
        # system would hold bodies back until clients have acknowledged the heads, 40 ms. Connections inherit this.
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return door
    except OSError as error:
        raise RefusedError(f"cannot listen on {host}, port {port} ({error.strerror}); try another --port") from error


def torch_threads() -> int:
    """Threads for a process that serves: one, unless OMP_NUM_THREADS says otherwise (0: torch reads it itself)."""
    return 0 if os.environ.get("OMP_NUM_THREADS") else 1


def run_server(
    models: Sequence[str | Path] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    rate: float = 0.0,
    root_path: str = "",
    allowed_hosts: Sequence[str] = (),
    precision: RenderPrecision = "fp32",
    on_listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way; raises KeyboardInterrupt at the end.

    Args:
        models: see ``offered``; the first is the default. All are loaded before anything is served.
        host: address to bind; anything but a loopback address lets others in.
        port: 0 takes a free one.
        rate: requests for faces per second and client address; 0 for no limit.
        root_path: where a server in front of this one shows the page; see ``create_app``.
        allowed_hosts: names that it is called by, and passes on; see ``create_app``.
        precision: of the arithmetic; see ``SyntheticFaceSource``.
        on_listening: called with the page's URL once connections are accepted.

    Raises:
        ArgumentError, WeightsError: a model is unknown or damaged, or a root path or a host's name can be none.
        RefusedError: the address is in use.
    """
    log_to_stderr()
    engine = Engine(offered(models), precision=precision, threads=torch_threads())
    start = "" if models else default_model(attributes=True)  # switches make the better page
    app = create_app(engine, rate=rate, host=host, start=start, root_path=root_path, allowed=allowed_hosts)
    for name in engine.names:
        engine.model(name)  # what is wrong with a model is said now, not to the first who asks for it
    door = listen(host, port)
    config = uvicorn.Config(
        app, http=connect(Connections()),  # type: ignore[arg-type, unused-ignore]
        lifespan="on", log_level=logging.ERROR, access_log=False, server_header=False, proxy_headers=False, ws="none",
        h11_max_incomplete_event_size=HEAD, timeout_keep_alive=int(PATIENCE), timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    with door, _lasting():
        shown = f"[{host}]" if ":" in host else host
        on_listening(f"http://{shown}:{door.getsockname()[1]}{checked_root(root_path)}/")
        uvicorn.Server(config).run(sockets=[door])


@contextmanager
def _lasting() -> Iterator[None]:
    """What there is by now stays: looking through torch and the models for garbage took a tenth of the time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()

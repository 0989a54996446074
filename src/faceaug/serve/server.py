"""`faceaug serve`: the application of faces on its own socket."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from faceaug.errors import ArgumentError
from faceaug.serve.app import checked_root, create_app
from faceaug.serve.engine import Engine, Loader
from faceaug.serve.listening import listen, server_of
from faceaug.serve.log import log_to_stderr
from faceaug.synthesize import load_model
from faceaug.synthesize.render import RenderPrecision
from faceaug.synthesize.weights import BUNDLED, default_model

__all__ = ["listen", "offered", "run_server", "torch_threads"]


def offered(models: Sequence[str | Path]) -> dict[str, Loader]:
    """Loaders by public model name: the given models, or all bundled ones, the default first.

    Args:
        models: bundled names, model folders or run folders; a folder is offered under its name.

    Raises:
        ArgumentError: two models have the same name.
    """
    found: dict[str, Loader] = {}
    for model in models or sorted(BUNDLED, key=default_model().__ne__):
        name = str(model) if str(model) in BUNDLED else Path(model).resolve().name
        if name in found:
            raise ArgumentError(f"--model {model}: another model is already named {name}; rename the folder")
        found[name] = partial(load_model, model)
    return found


def torch_threads() -> int:
    """Number of torch threads for a server: one, unless OMP_NUM_THREADS is set (0: torch reads it)."""
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
    """Serve until SIGINT or SIGTERM, then finish pending requests; raises KeyboardInterrupt at the end.

    Args:
        models: see ``offered``; the first is the default. All are loaded before serving starts.
        host: address to bind; any but a loopback address lets other machines connect.
        port: 0 chooses a free one.
        rate: face requests per second and client address; 0 for no limit.
        root_path: path prefix of a reverse proxy; see ``create_app``.
        allowed_hosts: names accepted in the Host header; see ``create_app``.
        precision: see ``SyntheticFaceSource``.
        on_listening: called with the page's URL once connections are accepted.

    Raises:
        ArgumentError, WeightsError: an unknown or damaged model, or an invalid root path or host name.
        RefusedError: the address is in use.
    """
    log_to_stderr()
    engine = Engine(offered(models), precision=precision, threads=torch_threads())
    start = "" if models else default_model(attributes=True)  # attribute switches make a better page
    app = create_app(engine, rate=rate, host=host, start=start, root_path=root_path, allowed=allowed_hosts)
    for name in engine.names:
        engine.model(name)  # report a broken model now, not to the first client
    listener = listen(host, port)
    with listener, _garbage_frozen():
        shown = f"[{host}]" if ":" in host else host
        on_listening(f"http://{shown}:{listener.getsockname()[1]}{checked_root(root_path)}/")
        server_of(app).run(sockets=[listener])


@contextmanager
def _garbage_frozen() -> Iterator[None]:
    """Freeze existing objects: garbage collection over torch and the models took a tenth of the time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()

"""The web application: page, API and health checks, as ASGI, so that any such server can run it.

Eight fixed addresses, GET and HEAD, no bodies: a framework would only add overhead, for one face as much as generating
it.
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from string import Template
from typing import Any, TypeAlias
from urllib.parse import quote

from faceaug.errors import ArgumentError
from faceaug.serve.answer import Answer, problem
from faceaug.serve.engine import Engine
from faceaug.serve.faces import CHOSEN_SEEDS, FaceService
from faceaug.serve.limits import RateLimit, allowed_hosts, host_is_ours, host_name
from faceaug.serve.query import MAX_QUERY, FaceRequest, ParameterError, own_part, shown

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
View: TypeAlias = Callable[[Scope, Receive], Awaitable[Answer]]

PAGE = Path(__file__).with_name("page")
STATIC = {"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
WAIT = 30.0  # seconds a request may wait for its faces
SOON = 0.5  # seconds until the server checks whether the client is still connected
GRID = 24  # faces the page shows initially
UNASKED = "kept"  # on the page, a face keeps its other attributes when one is changed
_LOG = logging.getLogger(__name__)


def create_app(
    engine: Engine,
    *,
    rate: float = 0.0,
    host: str = "",
    start: str = "",
    root_path: str = "",
    allowed: Iterable[str] = (),
) -> ASGI:
    """Build the application.

    Args:
        engine: generates the faces. The default model is loaded when the application starts; the engine is closed when
            it stops.
        rate: face requests per second and client address, 0 for no limit.
        host: bound address. A loopback address also restricts the Host header, see ``limits.host_is_ours``.
        start: model selected on the page at first; the engine's first if empty.
        root_path: path prefix that a reverse proxy does not strip, such as "/faces"; addresses without it are answered
            too.
        allowed: additional names accepted in the Host header, see ``limits.allowed_hosts``.

    Raises:
        ArgumentError: an invalid root path or host name.
    """
    views = _Views(FaceService(engine), RateLimit(rate), start or engine.names[0])
    return _Application(views, host, allowed_hosts(allowed), checked_root(root_path))


def checked_root(path: str) -> str:
    """Normalise a root path to a leading slash and no trailing one; "" for none.

    Raises:
        ArgumentError: not a valid URL path.
    """
    root = "/" + path.strip("/") if path.strip("/") else ""
    if not re.fullmatch(r"(/[A-Za-z0-9._~@:+,=-]+)*", root) or {".", ".."} & set(root.split("/")):
        raise ArgumentError(f"--root-path {path}: expected a URL path, such as /faces")
    return root


class _Application:
    """Entry point of all requests: refuses invalid ones, adds security headers, hides internal errors."""

    def __init__(self, views: _Views, host: str, allowed: tuple[str, ...], root: str) -> None:
        self._views = views
        self._host = host
        self._allowed = allowed
        self._root = root
        self._paths: dict[str, View] = {
            "/api/faces": views.faces,
            "/": views.page,
            "/api/meta": views.meta,
            "/healthz": views.health,
            "/readyz": views.ready,
        }
        self._paths |= {f"/static/{name}": partial(views.static, name) for name in STATIC}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] != "http":
            await send(_CLOSED)
        else:
            answer = await self._answer(scope, receive)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.encoded_headers()})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        loading = asyncio.create_task(self._views.load())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        loading.cancel()
        await asyncio.to_thread(self._views.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        refused = self._refusal(scope)
        if refused is not None:
            return refused
        path = self._path(scope)
        if not path:  # the page's links are relative, so a browser needs the slash
            there = f"{quote(scope['path'].rpartition('/')[2])}/"
            return Answer(308, b"", {"Location": f"{there}?{query}" if (query := _query(scope)) else there})
        view = self._paths.get(path)
        if view is None:
            return _NOT_FOUND
        try:
            return await view(scope, receive)
        except Exception:  # noqa: BLE001 - the traceback goes to the log, one line to the client
            _LOG.exception("a request failed")
            return _FAILURE

    def _path(self, scope: Scope) -> str:
        """Strip the root path, ours or the enclosing application's; "" for the root path itself."""
        path: str = scope["path"]
        for root in (scope.get("root_path", "").rstrip("/"), self._root):
            if root and (path == root or path.startswith(root + "/")):
                path = path.removeprefix(root)
        return path

    def _refusal(self, scope: Scope) -> Answer | None:
        if scope["method"] not in {"GET", "HEAD"}:
            # A body would not be read, so the connection cannot be reused.
            return problem(405, "only GET and HEAD", headers={"Allow": "GET, HEAD", "Connection": "close"})
        headers = dict(scope["headers"])
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            return problem(413, "requests must not have a body", headers={"Connection": "close"})
        if len(scope["query_string"]) > MAX_QUERY:
            return problem(414, f"the query is longer than {MAX_QUERY} bytes", parameter="query")
        host = headers.get(b"host", b"").decode("latin-1")
        return None if host_is_ours(host, self._host, self._allowed) else _wrong_host(host, self._allowed)


class _Views:
    def __init__(self, service: FaceService, limit: RateLimit, start: str) -> None:
        self._service = service
        self._engine = service.engine
        self._limit = limit
        self._start = start
        # Read once: requests look up names here, never on the disk.
        self._static = {name: (PAGE / name).read_bytes() for name in STATIC}
        self._page = Template((PAGE / "index.html").read_text("utf-8"))

    async def load(self) -> None:
        """Load the default model; a failure shows as not ready and in the log."""
        try:
            await asyncio.to_thread(self._engine.model, self._engine.names[0])
        except Exception:  # noqa: BLE001 - a loader may fail in any way, and a retry may work
            _LOG.exception("the model cannot be loaded")

    def close(self) -> None:
        """Finish pending work."""
        self._engine.close()

    async def faces(self, scope: Scope, receive: Receive) -> Answer:
        """The requested faces; 429 beyond the rate of a client, 503 if they take too long."""
        client = scope["client"][0] if scope.get("client") else ""
        wait = self._limit.wait(client)
        if wait:
            return problem(429, "too many requests from this address", headers={"Retry-After": str(wait)})
        held = next((value for name, value in scope["headers"] if name == b"if-none-match"), b"").decode("latin-1")
        asked = self._service.ask(_query(scope), if_none_match=held, client=client)
        if await _done(asked, WAIT, receive):
            return asked.result()
        return problem(503, "the faces took too long; try again", headers={"Retry-After": "5"})

    async def page(self, scope: Scope, _: Receive) -> Answer:
        """The page; with a query, as sent by its form without JavaScript, it contains the faces."""
        error = ""
        asked: FaceRequest | None = None
        query, strange = own_part(_query(scope))
        if query:
            try:
                asked = self._service.parse(query)
            except ParameterError as problem_found:
                error = str(problem_found)
        meta = await asyncio.to_thread(self._service.meta)
        notices = [f"Ignored unknown parameters: {', '.join(strange)}."] if strange else []
        if asked and asked.digest not in {"", self._service.digest(asked.model)}:
            notices.append(f"{asked.model} has changed since this link was made, so these are other faces.")
        text = self._page.substitute(_fields(meta, asked, error or " ".join(notices), self._start))
        return Answer(400 if error else 200, text.encode(), _typed("text/html; charset=utf-8"))

    async def meta(self, *_: object) -> Answer:
        """The models with their attributes and terms, as JSON."""
        document = await asyncio.to_thread(self._service.meta)
        return Answer(200, json.dumps(document).encode(), _typed("application/json"))

    async def health(self, *_: object) -> Answer:
        """That the process answers, whether or not a model is loaded."""
        return Answer(200, b'{"status": "alive"}', _typed("application/json"))

    async def ready(self, *_: object) -> Answer:
        """Whether the default model is loaded; 503 until then."""
        if self._engine.ready:
            return Answer(200, b'{"status": "ready"}', _typed("application/json"))
        return problem(503, "the model is not loaded", headers={"Retry-After": "1"})

    async def static(self, name: str, *_: object) -> Answer:
        """A file of the page."""
        return Answer(200, self._static[name], _typed(STATIC[name]))


_PLACE = '<span class="face blank"></span>'  # placeholder for a face
_FAILURE = problem(500, "internal server error; see the server's log")
_NOT_FOUND = problem(404, "not found; the page is at / and the faces at /api/faces")
_CLOSED: dict[str, Any] = {"type": "websocket.close", "code": 1000}


async def _done(work: Future[Answer], seconds: float, receive: Receive) -> bool:
    """Wait for work in another thread; cancel it and return False after a timeout or a disconnect.

    Like ``asyncio.wait_for`` around ``asyncio.wrap_future``, with less overhead per request. The connection is only
    checked for requests that take a while.
    """
    loop = asyncio.get_running_loop()
    finished = loop.create_future()
    checks: list[asyncio.Task[None]] = []

    def end(_: object = None) -> None:
        """End the wait, once."""
        if not finished.done():
            finished.set_result(None)

    async def disconnected() -> None:
        """Wait until the client has gone, and end the wait."""
        while (await receive())["type"] != "http.disconnect":
            pass
        end()

    limit = loop.call_later(seconds, end)
    check = loop.call_later(SOON, lambda: checks.append(loop.create_task(disconnected())))
    work.add_done_callback(lambda _: loop.call_soon_threadsafe(end))
    try:
        await finished
    finally:
        limit.cancel()
        check.cancel()
        for task in checks:
            task.cancel()
        if not work.done():
            work.cancel()
    return work.done() and not work.cancelled()


def _query(scope: Scope) -> str:
    raw: bytes = scope["query_string"]
    return raw.decode("latin-1")


def _typed(media: str) -> dict[str, str]:
    return {"Content-Type": media, "Cache-Control": "no-cache"}


def _wrong_host(host: str, allowed: tuple[str, ...]) -> Answer:
    """Answer a request for another host, with advice on how to allow it."""
    name = shown(host_name(host), 80)
    names = " and ".join(("127.0.0.1", "localhost", *allowed))
    cure = f"start it with --allow-host {name} if a proxy you trust forwards requests under that name"
    cure += "" if allowed else ", or with --host 0.0.0.0 to accept everyone"
    return problem(421, f"this server only answers to {names}, but the request names {name}: {cure}")


def _fields(meta: Mapping[str, Any], asked: FaceRequest | None, error: str, start: str) -> dict[str, str]:
    """Values of the page's placeholders, escaped."""
    chosen = asked.model if asked else start
    model = next(m for m in meta["models"] if m["name"] == chosen)
    n = asked.n if asked else GRID
    seed = "" if asked is None or asked.seed is None else str(asked.seed)
    wishes = ",".join(f"{name}:{sign}" for name, sign in asked.attributes) if asked else ""
    # Without JavaScript, picture and downloads must show the same faces.
    drawn = seed or str(secrets.randbelow(CHOSEN_SEEDS))
    query = f"n={n}&model={chosen}&seed={drawn}"
    query += f"&attributes={wishes}&unasked={UNASKED}" if wishes else ""
    query += f"&digest={model['digest']}"
    options = "".join(
        f'<option value="{html.escape(m["name"])}"{" selected" if m["name"] == chosen else ""}>'
        f"{html.escape(m['name'])} ({m['size']} px)</option>"
        for m in meta["models"]
    )
    plain = {
        "n": str(n),
        "seed": seed,
        "drawn": drawn,
        "query": query,
        "error": error,
        "license": model["license"],
        "terms": model["terms"],
        "attributes": wishes,
        "chosen": chosen,
        "meta": json.dumps(meta),
        "unasked": UNASKED,
    }
    escaped = {name: html.escape(value) for name, value in plain.items()}
    return escaped | {
        "options": options,
        "skeleton": _PLACE * n,
        "no_wishes": "" if model["attributes"] else "disabled",
    }

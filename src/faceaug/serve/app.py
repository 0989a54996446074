"""The web application: the page, its API, health. ASGI, so that any such server can run it.

Eight fixed addresses, GET and HEAD, no bodies: a framework would do nothing here but take its time, which for one face
is as much as making it.
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
from faceaug.serve.engine import Engine
from faceaug.serve.faces import CHOSEN_SEEDS, Answer, FaceService, problem
from faceaug.serve.limits import SECURITY_HEADERS, RateLimit, allowed_hosts, host_is_ours, host_name
from faceaug.serve.query import MAX_QUERY, FaceRequest, ParameterError, own_part, shown

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
View: TypeAlias = Callable[[Scope, Receive], Awaitable[Answer]]

PAGE = Path(__file__).with_name("page")
STATIC = {"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
WAIT = 30.0  # seconds a request may wait for its faces
SOON = 0.5  # seconds after which the server looks whether the client still waits
GRID = 24  # faces the page shows first
UNASKED = "kept"  # on the page a face that is asked to smile stays the face it was
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
    """The application.

    Args:
        engine: makes the faces. The default model is loaded when the application starts; the engine is closed when it
            stops.
        rate: requests for faces per second and client address, 0 for no limit.
        host: the address it will be bound to. A loopback address also restricts the Host header, see
            ``limits.host_is_ours``.
        start: the model the page begins with; the engine's first if empty.
        root_path: what a server in front leaves at the beginning of addresses, as "/faces"; those without it are
            answered as well.
        allowed: more names that the Host header may have, see ``limits.allowed_hosts``.

    Raises:
        ArgumentError: a root path or a name that can be none.
    """
    views = _Views(FaceService(engine), RateLimit(rate), start or engine.names[0])
    return _Application(views, host, allowed_hosts(allowed), checked_root(root_path))


def checked_root(path: str) -> str:
    """A root path with a slash at its beginning and none at its end; "" for none.

    Raises:
        ArgumentError: it is no path, or holds what a path in an address may not hold.
    """
    root = "/" + path.strip("/") if path.strip("/") else ""
    if not re.fullmatch(r"(/[A-Za-z0-9._~@:+,=-]+)*", root) or {".", ".."} & set(root.split("/")):
        raise ArgumentError(f"--root-path {path}: expected the path of an address, as /faces")
    return root


class _Application:
    """Everything goes through here: refuses what no view should see, adds the headers, hides what went wrong."""

    def __init__(self, views: _Views, host: str, allowed: tuple[str, ...], root: str) -> None:
        self._views, self._host, self._allowed, self._root = views, host, allowed, root
        self._paths: dict[str, View] = {
            "/api/faces": views.faces, "/": views.page, "/api/meta": views.meta, "/healthz": views.health,
            "/readyz": views.ready,
        }  # fmt: skip
        self._paths |= {f"/static/{name}": partial(views.static, name) for name in STATIC}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] != "http":
            await send(_CLOSED)
        else:
            answer = await self._answer(scope, receive)
            await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _live(self, receive: Receive, send: Send) -> None:
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
        if not path:  # what the page names lies below it, and a browser needs the slash to see that
            there = f"{quote(scope['path'].rpartition('/')[2])}/"
            return Answer(308, b"", {"Location": f"{there}?{query}" if (query := _query(scope)) else there})
        view = self._paths.get(path)
        if view is None:
            return _NOWHERE
        try:
            return await view(scope, receive)
        except Exception:  # noqa: BLE001 - the log gets the trace, the client one line
            _LOG.exception("a request failed")
            return _FAILURE

    def _path(self, scope: Scope) -> str:
        """The path behind the root path, ours or that of the application this one is part of; "" for it alone."""
        path: str = scope["path"]
        for root in (scope.get("root_path", "").rstrip("/"), self._root):
            if root and (path == root or path.startswith(root + "/")):
                path = path.removeprefix(root)
        return path

    def _refusal(self, scope: Scope) -> Answer | None:
        if scope["method"] not in {"GET", "HEAD"}:
            # Whatever body it has is not read, so the connection cannot be used again.
            return problem(405, "only GET and HEAD", headers={"Allow": "GET, HEAD", "Connection": "close"})
        headers = dict(scope["headers"])
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            return problem(413, "a request here has no body", headers={"Connection": "close"})
        if len(scope["query_string"]) > MAX_QUERY:
            return problem(414, f"the query is longer than {MAX_QUERY} bytes", parameter="query")
        host = headers.get(b"host", b"").decode("latin-1")
        return None if host_is_ours(host, self._host, self._allowed) else _elsewhere(host, self._allowed)


class _Views:
    def __init__(self, service: FaceService, limit: RateLimit, start: str) -> None:
        self._service, self._engine, self._limit, self._start = service, service.engine, limit, start
        # Read once: what a request names is looked up here, never on the disk.
        self._static = {name: (PAGE / name).read_bytes() for name in STATIC}
        self._page = Template((PAGE / "index.html").read_text("utf-8"))

    async def load(self) -> None:
        """Load the default model; a failure stays visible as not ready and in the log."""
        try:
            await asyncio.to_thread(self._engine.model, self._engine.names[0])
        except Exception:  # noqa: BLE001 - a loader may fail in any way, and the next try may work
            _LOG.exception("the model cannot be loaded")

    def close(self) -> None:
        """Finish what is under way."""
        self._engine.close()

    async def faces(self, scope: Scope, receive: Receive) -> Answer:
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
        """The page; with a query, as its form sends it without JavaScript, already with the faces in it."""
        error = ""
        asked: FaceRequest | None = None
        query, strange = own_part(_query(scope))
        if query:
            try:
                asked = self._service.parse(query)
            except ParameterError as problem_found:
                error = str(problem_found)
        meta = await asyncio.to_thread(self._service.meta)
        notices = [f"Not a parameter, and ignored: {', '.join(strange)}."] if strange else []
        if asked and asked.digest not in {"", self._service.digest(asked.model)}:
            notices.append(f"{asked.model} has changed since this link was made, so these are other faces.")
        text = self._page.substitute(_fields(meta, asked, error or " ".join(notices), self._start))
        return Answer(400 if error else 200, text.encode(), _kind("text/html; charset=utf-8"))

    async def meta(self, *_: object) -> Answer:
        document = await asyncio.to_thread(self._service.meta)
        return Answer(200, json.dumps(document).encode(), _kind("application/json"))

    async def health(self, *_: object) -> Answer:
        return Answer(200, b'{"status": "alive"}', _kind("application/json"))

    async def ready(self, *_: object) -> Answer:
        if self._engine.ready:
            return Answer(200, b'{"status": "ready"}', _kind("application/json"))
        return problem(503, "the model is not loaded", headers={"Retry-After": "1"})

    async def static(self, name: str, *_: object) -> Answer:
        return Answer(200, self._static[name], _kind(STATIC[name]))


_PLACE = '<span class="face blank"></span>'  # where a face will be
_FAILURE = problem(500, "the server failed; its log says why")
_NOWHERE = problem(404, "nothing here; the page is at / and the faces at /api/faces")
_CLOSED: dict[str, Any] = {"type": "websocket.close", "code": 1000}
_FIXED = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    given = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    length = [] if answer.status == 304 else [(b"content-length", b"%d" % len(answer.body))]  # RFC 9110, 8.6
    return [*given, *length, *_FIXED]


async def _done(work: Future[Answer], seconds: float, receive: Receive) -> bool:
    """Wait for work in another thread; False, and it is not begun any more, if it takes longer or the client goes.

    What ``asyncio.wait_for`` around ``asyncio.wrap_future`` does, with less ado for every request. Whether the client
    is still there is only looked at where faces take a while.
    """
    loop = asyncio.get_running_loop()
    finished = loop.create_future()
    watch: list[asyncio.Task[None]] = []

    def end(_: object = None) -> None:
        if not finished.done():
            finished.set_result(None)

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        end()

    limit = loop.call_later(seconds, end)
    look = loop.call_later(SOON, lambda: watch.append(loop.create_task(gone())))
    work.add_done_callback(lambda _: loop.call_soon_threadsafe(end))
    try:
        await finished
    finally:
        limit.cancel()
        look.cancel()
        for task in watch:
            task.cancel()
        if not work.done():
            work.cancel()
    return work.done() and not work.cancelled()


def _query(scope: Scope) -> str:
    raw: bytes = scope["query_string"]
    return raw.decode("latin-1")


def _kind(media: str) -> dict[str, str]:
    return {"Content-Type": media, "Cache-Control": "no-cache"}


def _elsewhere(host: str, allowed: tuple[str, ...]) -> Answer:
    """The answer to who asks for another server; says how this one can be made to answer."""
    name, names = shown(host_name(host), 80), " and ".join(("127.0.0.1", "localhost", *allowed))
    cure = f"start it with --allow-host {name} if a server you trust passes requests on from there"
    cure += "" if allowed else ", or with --host 0.0.0.0 to let anybody in"
    return problem(421, f"this server answers to {names} only, and was asked for {name}: {cure}")


def _fields(meta: Mapping[str, Any], asked: FaceRequest | None, error: str, start: str) -> dict[str, str]:
    """What is put into the page's places, escaped."""
    chosen = asked.model if asked else start
    model = next(m for m in meta["models"] if m["name"] == chosen)
    n = asked.n if asked else GRID
    seed = "" if asked is None or asked.seed is None else str(asked.seed)
    wishes = ",".join(f"{name}:{sign}" for name, sign in asked.attributes) if asked else ""
    drawn = seed or str(secrets.randbelow(CHOSEN_SEEDS))  # without script: the picture and its downloads are the same
    query = f"n={n}&model={chosen}&seed={drawn}"
    query += f"&attributes={wishes}&unasked={UNASKED}" if wishes else ""
    query += f"&digest={model['digest']}"
    options = "".join(
        f'<option value="{html.escape(m["name"])}"{" selected" if m["name"] == chosen else ""}>'
        f"{html.escape(m['name'])} ({m['size']} px)</option>"
        for m in meta["models"]
    )
    plain = {
        "n": str(n), "seed": seed, "drawn": drawn, "query": query, "error": error, "license": model["license"],
        "terms": model["terms"], "attributes": wishes, "chosen": chosen, "meta": json.dumps(meta), "unasked": UNASKED,
    }  # fmt: skip
    escaped = {name: html.escape(value) for name, value in plain.items()}
    return escaped | {
        "options": options,
        "skeleton": _PLACE * n,
        "no_wishes": "" if model["attributes"] else "disabled",
    }

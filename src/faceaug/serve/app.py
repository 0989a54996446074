"""The web application: the page, its API, health. ASGI, so that any such server can run it."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from faceaug.serve.engine import Engine
from faceaug.serve.faces import CHOSEN_SEEDS, Answer, FaceService, problem
from faceaug.serve.limits import SECURITY_HEADERS, RateLimit, host_is_ours
from faceaug.serve.query import MAX_QUERY, FaceRequest, ParameterError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

PAGE = Path(__file__).with_name("page")
STATIC = {"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
WAIT = 30.0  # seconds a request may wait for its faces
GRID = 24  # faces the page shows first
UNASKED = "kept"  # on the page a face that is asked to smile stays the face it was
_LOG = logging.getLogger(__name__)


def create_app(engine: Engine, *, rate: float = 0.0, host: str = "", start: str = "") -> ASGI:
    """The application.

    Args:
        engine: makes the faces. The default model is loaded when the application starts; the engine is closed when it
            stops.
        rate: requests for faces per second and client address, 0 for no limit.
        host: the address it will be bound to. A loopback address also restricts the Host header, see
            ``limits.host_is_ours``.
        start: the model the page begins with; the engine's first if empty.
    """
    views = _Views(FaceService(engine), RateLimit(rate), start or engine.names[0])

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(views.load())
        yield
        loading.cancel()
        await asyncio.to_thread(engine.close)

    routes = [
        Route("/api/faces", views.faces),
        Route("/", views.page),
        Route("/api/meta", views.meta),
        Route("/healthz", views.health),
        Route("/readyz", views.ready),
        *(Route(f"/static/{name}", views.static) for name in STATIC),
    ]
    inner = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _not_found, Exception: _failed})
    return _Door(inner, host)


_FIXED = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class _Door:
    """Everything goes through here: refuses what no view should see, adds the headers, hides what went wrong."""

    def __init__(self, inner: ASGI, host: str) -> None:
        self._inner, self._host = inner, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await (self._inner(scope, receive, send) if scope["type"] == "lifespan" else send(_CLOSED))
            return
        started = False

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *_FIXED]
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await _response(refused)(scope, receive, guarded)
            return
        try:
            await self._inner(scope, receive, guarded)
        except Exception:  # noqa: BLE001 - the log gets the trace, the client one line
            _LOG.exception("a request failed")
            if not started:
                await _response(_FAILURE)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Answer | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if scope["method"] not in {"GET", "HEAD"}:
            # Whatever body it has is not read, so the connection cannot be used again.
            return problem(405, "only GET and HEAD", headers={"Allow": "GET, HEAD", "Connection": "close"})
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            return problem(413, "a request here has no body", headers={"Connection": "close"})
        if len(scope["query_string"]) > MAX_QUERY:
            return problem(414, f"the query is longer than {MAX_QUERY} bytes", parameter="query")
        if not host_is_ours(headers.get(b"host", b"").decode("latin-1"), self._host):
            return problem(421, "this server answers to 127.0.0.1 and localhost only")
        return None


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

    async def faces(self, request: Request) -> Response:
        client = request.client.host if request.client else ""
        wait = self._limit.wait(client)
        if wait:
            return _response(problem(429, "too many requests from this address", headers={"Retry-After": str(wait)}))
        held = request.headers.get("if-none-match", "")
        asked = self._service.ask(_query(request), if_none_match=held, client=client)
        try:
            async with asyncio.timeout(WAIT):
                return _response(await asyncio.wrap_future(asked))
        except TimeoutError:
            return _response(problem(503, "the faces took too long; try again", headers={"Retry-After": "5"}))

    async def page(self, request: Request) -> Response:
        """The page; with a query, as its form sends it without JavaScript, already with the faces in it."""
        error = ""
        asked: FaceRequest | None = None
        if request.url.query:
            try:
                asked = self._service.parse(_query(request))
            except ParameterError as problem_found:
                error = str(problem_found)
        meta = await asyncio.to_thread(self._service.meta)
        text = self._page.substitute(_fields(meta, asked, error, self._start))
        return _response(Answer(400 if error else 200, text.encode(), _kind("text/html; charset=utf-8")))

    async def meta(self, _: Request) -> Response:
        document = await asyncio.to_thread(self._service.meta)
        return _response(Answer(200, json.dumps(document).encode(), _kind("application/json")))

    async def health(self, _: Request) -> Response:
        return _response(Answer(200, b'{"status": "alive"}', _kind("application/json")))

    async def ready(self, _: Request) -> Response:
        if self._engine.ready:
            return _response(Answer(200, b'{"status": "ready"}', _kind("application/json")))
        return _response(problem(503, "the model is not loaded", headers={"Retry-After": "1"}))

    async def static(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return _response(Answer(200, self._static[name], _kind(STATIC[name])))


_FAILURE = problem(500, "the server failed; its log says why")
_CLOSED: dict[str, Any] = {"type": "websocket.close", "code": 1000}


async def _not_found(_: Request, __: Exception) -> Response:
    return _response(problem(404, "nothing here; the page is at / and the faces at /api/faces"))


async def _failed(_: Request, __: Exception) -> Response:
    return _response(_FAILURE)


def _query(request: Request) -> str:
    raw: bytes = request.scope["query_string"]
    return raw.decode("latin-1")


def _kind(media: str) -> dict[str, str]:
    return {"Content-Type": media, "Cache-Control": "no-cache"}


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers)


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
    return escaped | {"options": options, "no_wishes": "" if model["attributes"] else "disabled"}

"""The web application of `faceaug clean --review`, as ASGI: one page behind a token, for this machine only."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

from faceaug.errors import ArgumentError, FaceAugError
from faceaug.reports.shell import ASSETS, asset
from faceaug.serve.answer import Answer, problem
from faceaug.serve.limits import host_is_ours
from faceaug.serve.review import PICTURES, Review

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HOST = "127.0.0.1"
LARGEST = 1 << 20  # bytes of a body: decisions about 50,000 groups
_MEDIA = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_LOG = logging.getLogger(__name__)
_NOT_FOUND = problem(404, "not found; the address of the page is in the terminal, with its token")


class ReviewApplication:
    """Entry point of all requests.

    Args:
        review: the folder.
        token: first part of every address; whoever does not know it gets nothing.
        on_finish: called when the page says that the person has finished.
    """

    def __init__(self, review: Review, *, token: str, on_finish: Callable[[], None]) -> None:
        self._review = review
        self._root = f"/{token}/"
        self._on_finish = on_finish
        self._assets = {name: asset(name).encode() for name in ASSETS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of an ASGI server."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        else:
            answer = await self._answer(scope, receive)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.encoded_headers()})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if not host_is_ours(headers.get("host", ""), HOST):
            return problem(421, "this server only answers to 127.0.0.1 and localhost", headers=_CLOSE)
        path = scope["path"]
        if path == "/favicon.ico":
            return Answer(204, b"")
        if not hmac.compare_digest(path[: len(self._root)].encode(), self._root.encode()):
            return problem(404, "not found; the address of the page is in the terminal, with its token", headers=_CLOSE)
        try:
            if scope["method"] == "POST":
                return await self._act(path.removeprefix(self._root), headers, receive)
            if scope["method"] in {"GET", "HEAD"}:
                return await self._show(path.removeprefix(self._root))
        except Exception:  # noqa: BLE001 - the traceback goes to the log, one line to the page
            _LOG.exception("a request failed")
            return problem(500, "internal error; the terminal says more", headers=_CLOSE)
        return problem(405, "only GET, HEAD and POST", headers=_CLOSE | {"Allow": "GET, HEAD, POST"})

    async def _show(self, name: str) -> Answer:
        if not name:
            return _private(self._review.page(), "text/html; charset=utf-8")
        if name in self._assets:
            return _private(self._assets[name], _MEDIA[name.rpartition(".")[2]])
        if name == "state":
            return _private(json.dumps(self._review.state()).encode(), "application/json")
        folder, _, number = name.partition("/")
        if folder == PICTURES and number.isascii() and number.isdigit() and len(number) < 10:
            picture = await asyncio.to_thread(self._review.picture, int(number))
            return _private(picture, "image/webp") if picture else _NOT_FOUND
        return _NOT_FOUND

    async def _act(self, name: str, headers: Mapping[str, str], receive: Receive) -> Answer:
        refused = _refusal(headers)
        body = b"" if refused else await _body(receive)
        if refused or body is None:
            return refused or problem(413, f"more than {LARGEST} bytes", headers=_CLOSE)
        decided = _decisions(body)
        if decided is None:
            return problem(400, "expected JSON with 'decisions'")
        acts: dict[str, Callable[[], dict[str, Any]]] = {
            "apply": lambda: self._review.apply(decided),
            "undo": self._review.undo,
            "finish": self._finish,
        }
        if name not in acts:
            return _NOT_FOUND
        try:
            state = await asyncio.to_thread(acts[name])
        except FaceAugError as error:
            return problem(400 if isinstance(error, ArgumentError) else 409, str(error))
        return _private(json.dumps(state).encode(), "application/json")

    def _finish(self) -> dict[str, Any]:
        self._on_finish()
        return self._review.state(ended=True, said="The command has ended; this page can be closed.")


_CLOSE = {"Connection": "close"}


def _refusal(headers: Mapping[str, str]) -> Answer | None:
    """Refuse what another site could send, although it would have to know the token."""
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{headers.get('host', '')}":
        return problem(403, "the request comes from another page", headers=_CLOSE)
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return problem(415, "expected Content-Type: application/json", headers=_CLOSE)
    return None


async def _body(receive: Receive) -> bytes | None:
    """The body of a request; None if it is too long."""
    found = b""
    while True:
        message = await receive()
        piece: bytes = message.get("body", b"")
        found += piece
        if len(found) > LARGEST:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return found


def _decisions(body: bytes) -> dict[str, object] | None:
    """The decisions in a body, none by default; None if it is something else."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    decided = asked.get("decisions", {}) if isinstance(asked, dict) else None
    return decided if isinstance(decided, dict) else None


def _private(body: bytes, media: str) -> Answer:
    """An answer that no cache keeps: it may be a face."""
    return Answer(200, body, {"Content-Type": media, "Cache-Control": "no-store"})

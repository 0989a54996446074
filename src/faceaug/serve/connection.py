"""Connections: uvicorn's HTTP protocol with an end to its patience, a limit for heads, a share for each client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from faceaug.serve.faces import Answer, problem
from faceaug.serve.limits import SECURITY_HEADERS, Connections

PATIENCE = 5.0  # seconds for a client to send its request, and to take its answer
SHORT = 1.0  # seconds for a client that will be refused to send its request
HEAD = 16 * 1024  # bytes of a request's line and headers
_PHRASES = {400: "Bad Request", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


def raw(answer: Answer) -> bytes:
    """An answer as it goes over the wire where no application is asked; the connection ends with it."""
    headers = SECURITY_HEADERS | answer.headers | {"Content-Length": str(len(answer.body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


_UNREADABLE = raw(problem(400, "this is not HTTP/1.1"))
_TOO_LONG = raw(problem(431, f"the head of a request has more than {HEAD} bytes"))
_FULL = raw(problem(503, "too many connections; try again", headers={"Retry-After": "2"}))


def connect(connections: Connections) -> Callable[..., asyncio.Protocol]:
    """What uvicorn makes a protocol with for each connection, all with the same book of who is there."""
    return partial(_Connection, connections)


class _Patient:
    """A transport for uvicorn, which ends a connection at once after it has refused a body.

    The client may still be sending then, and its system throws an answer away that is followed by a reset. So what
    comes is read and forgotten for a moment.
    """

    def __init__(self, transport: asyncio.Transport, body_comes: Callable[[], bool]) -> None:
        self._transport, self._body_comes = transport, body_comes
        self.lingers = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Nothing once the connection has ended: uvicorn tells the last of several requests on it only."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if self.is_closing():
            return
        if self._body_comes():
            self.lingers = True
            try:
                self._transport.get_extra_info("socket").getpeername()
                self._transport.write_eof()
                self._transport.resume_reading()
            except OSError:  # the client is gone already; uvloop would log what it raises instead of raising it
                self._transport.close()
        else:
            self._transport.close()


class _Connection(asyncio.Protocol):
    """Passes bytes on to uvicorn's protocol, and does what that leaves undone.

    uvicorn closes idle connections, but waits for ever for a request that arrives a byte at a time and for a client
    that does not read its answer, reads heads of any length (with httptools), and lets one address take every place.
    """

    def __init__(self, connections: Connections, **given: Any) -> None:
        inner: Any = AutoHTTPProtocol(**given)
        self._inner = inner
        inner.send_400_response = lambda _: self._refuse(_UNREADABLE)  # uvicorn's has none of our headers
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._served = 0.0  # when a request was last being worked on, and the client took what it was sent
        self._refused = False
        self._cycle: Any = None  # the request seen at the last look
        self._head: tuple[Any, int] = (None, 0)  # bytes that came since this request was understood

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._patient = _Patient(self._transport, self._body_comes)
        peer = self._transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        self._served = asyncio.get_running_loop().time()
        place = self._connections.enter(self._client)
        self._refused = place != "served"
        if place == "dropped":
            self._drop()
            return
        if not self._refused:
            self._inner.connection_made(self._patient)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        self._transport = None
        self._connections.leave(self._client, refused=self._refused)
        if not self._refused:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._patient.lingers:
            return
        if self._refused:
            self._refuse(_FULL)
            return
        before = self._inner.cycle
        self._inner.data_received(data)
        known, length = self._head
        self._head = (before, length + len(data) if known is before else len(data))
        if self._inner.cycle is before and self._head[1] > HEAD and self._waits_for_head():
            self._refuse(_TOO_LONG)

    def eof_received(self) -> None:
        if not self._refused:
            self._inner.eof_received()

    def pause_writing(self) -> None:
        if not self._refused:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if not self._refused:
            self._inner.resume_writing()

    def _body_comes(self) -> bool:
        cycle = self._inner.cycle
        return cycle is not None and bool(cycle.more_body)

    def _waits_for_head(self) -> bool:
        cycle = self._inner.cycle
        return cycle is None or cycle.response_complete

    def _refuse(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)
            self._transport.close()

    def _drop(self) -> None:
        """End it now. uvicorn hears of it first: else it may answer into what is closed already."""
        transport = self._transport
        if transport is not None:
            self.connection_lost(None)
            transport.abort()

    def _look(self) -> None:
        """Every second: has the client had its time?"""
        if self._transport is None:
            return
        loop = asyncio.get_running_loop()
        cycle = None if self._refused else self._inner.cycle
        working = cycle is not self._cycle or (cycle is not None and not cycle.response_complete)
        if working and not self._transport.get_write_buffer_size():
            self._cycle, self._served = cycle, loop.time()
        elif loop.time() - self._served > (SHORT if self._refused or self._patient.lingers else PATIENCE):
            self._drop()
            return
        loop.call_later(SHORT, self._look)

"""Connections: uvicorn's HTTP protocol with an end to its patience, a limit for heads, a share for each client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from faceaug.serve.faces import Answer, problem
from faceaug.serve.limits import SECURITY_HEADERS, Connections

PATIENCE = 5.0  # seconds for a client to send its request, and to take its answer
SHORT = 1.0  # seconds for a client that will be refused to send its request
HEAD = 16 * 1024  # bytes of a request's line and headers
PIECE = 4 * 1024  # bytes that uvicorn gets at a time
_BLANK = re.compile(rb"\r?\n\r?\n")  # where a head ends
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
    """A transport for uvicorn that reads no more than is wanted, and takes its time to close.

    uvicorn ends a connection at once after it has refused a body. The client may still be sending then, and its system
    throws an answer away that is followed by a reset. So what comes is read and forgotten for a moment.
    """

    def __init__(self, transport: asyncio.Transport, body_comes: Callable[[], bool]) -> None:
        self._transport, self._body_comes = transport, body_comes
        self.lingers = False
        self._paused = self._full = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def pause_reading(self) -> None:
        self._paused = True
        self._read()

    def resume_reading(self) -> None:
        self._paused = False
        self._read()

    def fill(self, full: bool) -> None:
        """While it is full nothing is read, whatever uvicorn wants."""
        self._full = full
        self._read()

    def _read(self) -> None:
        if not self.is_closing():
            (self._transport.pause_reading if self._paused or self._full else self._transport.resume_reading)()

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


def unfinished(data: bytes, before: int, *, complete: bool) -> int:
    """Bytes of the last head that is not complete yet.

    Args:
        data: what came now.
        before: bytes of it that came earlier.
        complete: whether a head was completed by these data; its end may lie across two pieces.
    """
    ends = [end.end() for end in _BLANK.finditer(data)]
    if ends:
        return len(data) - ends[-1]
    return 0 if complete else before + len(data)


class _Connection(asyncio.Protocol):
    """Passes bytes on to uvicorn's protocol, and does what that leaves undone.

    uvicorn closes idle connections, but waits for ever for a request that arrives a byte at a time and for a client
    that does not read its answer, reads heads of any length (with httptools), and lets one address take every place.
    """

    def __init__(self, connections: Connections, **given: Any) -> None:
        inner: Any = AutoHTTPProtocol(**given)
        self._inner = inner
        inner.send_400_response = lambda _: self._refuse(_UNREADABLE)  # uvicorn's has none of our headers
        self._go_on = inner.on_response_complete
        inner.on_response_complete = self._answered
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._served = 0.0  # when a request was last being worked on, and the client took what it was sent
        self._refused = False
        self._cycle: Any = None  # the request seen at the last look
        self._held = bytearray()  # what has come, and uvicorn has not been given yet
        self._head = 0  # bytes of a head that is not complete yet

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
        self._held += data
        self._feed()

    def _feed(self) -> None:
        """Hand on what has come, a piece at a time, until a request waits behind the one that is being worked on.

        One read may hold thousands of small requests, and in memory each takes a hundred times its length.
        """
        while self._held and self._takes_more():
            piece, before = bytes(self._held[:PIECE]), self._inner.cycle
            del self._held[:PIECE]
            self._inner.data_received(piece)
            # What comes behind a request that is being worked on is the next head, and may be no longer than others.
            found = self._inner.cycle is not before
            self._head = 0 if self._body_comes() else unfinished(piece, self._head, complete=found)
            if self._head > HEAD:
                self._held.clear()
                self._refuse(_TOO_LONG)
        self._patient.fill(bool(self._held))

    def _takes_more(self) -> bool:
        waiting = getattr(self._inner, "pipeline", None)  # with h11, which takes one at a time, there is none
        return self._transport is not None and not waiting and not self._patient.is_closing()

    def _answered(self) -> None:
        self._go_on()
        if self._held:
            asyncio.get_running_loop().call_soon(self._feed)

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

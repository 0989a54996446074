"""Connections: uvicorn's HTTP protocol with timeouts, a limit for request heads, and a share for each client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from faceaug.serve.answer import Answer, problem
from faceaug.serve.limits import SECURITY_HEADERS, Connections

PATIENCE = 5.0  # seconds for a client to send its request and to read its answer
SHORT = 1.0  # seconds for a client that will be refused to send its request
HEAD = 16 * 1024  # bytes of a request line and headers
PIECE = 4 * 1024  # bytes passed to uvicorn at a time
_BLANK = re.compile(rb"\r?\n\r?\n")  # end of a head
_PHRASES = {400: "Bad Request", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


def raw(answer: Answer) -> bytes:
    """Serialise an answer that bypasses the application; it closes the connection."""
    headers = SECURITY_HEADERS | answer.headers | {"Content-Length": str(len(answer.body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


_UNREADABLE = raw(problem(400, "this is not HTTP/1.1"))
_TOO_LONG = raw(problem(431, f"the head of a request has more than {HEAD} bytes"))
_FULL = raw(problem(503, "too many connections; try again", headers={"Retry-After": "2"}))


def connect(connections: Connections) -> Callable[..., asyncio.Protocol]:
    """Protocol factory for uvicorn; all connections share one register of clients."""
    return partial(_Connection, connections)


class _LingeringTransport:
    """A transport for uvicorn that applies back-pressure and closes gracefully.

    uvicorn closes a connection immediately after refusing a body. The client may still be sending, and its system
    discards an answer that is followed by a reset. So incoming data is read and discarded for a moment.
    """

    def __init__(self, transport: asyncio.Transport, body_pending: Callable[[], bool]) -> None:
        self._transport = transport
        self._body_pending = body_pending
        self.lingers = False
        self._paused = self._full = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def pause_reading(self) -> None:
        """See ``asyncio.Transport``."""
        self._paused = True
        self._read()

    def resume_reading(self) -> None:
        """See ``asyncio.Transport``."""
        self._paused = False
        self._read()

    def fill(self, full: bool) -> None:
        """Stop reading while the buffer is full, whatever uvicorn requests."""
        self._full = full
        self._read()

    def _read(self) -> None:
        if not self.is_closing():
            (self._transport.pause_reading if self._paused or self._full else self._transport.resume_reading)()

    def is_closing(self) -> bool:
        """See ``asyncio.Transport``."""
        return self.lingers or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write, unless the connection has ended: uvicorn informs only the last of several pipelined requests."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """See ``asyncio.Transport``."""
        if self.is_closing():
            return
        if self._body_pending():
            self.lingers = True
            try:
                self._transport.get_extra_info("socket").getpeername()
                self._transport.write_eof()
                self._transport.resume_reading()
            except OSError:  # the client has left; uvloop would log the error instead of raising it
                self._transport.close()
        else:
            self._transport.close()


def unfinished(data: bytes, before: int, *, complete: bool) -> int:
    """Bytes of the last, incomplete head.

    Args:
        data: new data.
        before: bytes of the head received earlier.
        complete: whether a head was completed by this data; its end may span two pieces.
    """
    if not complete:  # blank lines before a request line count too: they have no end either
        return before + len(data)
    ends = [end.end() for end in _BLANK.finditer(data)]
    return len(data) - ends[-1] if ends else 0


class _Connection(asyncio.Protocol):
    """Passes data on to uvicorn's protocol and adds the limits that uvicorn lacks.

    uvicorn closes idle connections, but waits indefinitely for a request that arrives byte by byte and for a client
    that does not read its answer, accepts heads of any length (with httptools), and lets one address take every
    connection.
    """

    def __init__(self, connections: Connections, **given: Any) -> None:
        inner: Any = AutoHTTPProtocol(**given)
        self._inner = inner
        inner.send_400_response = lambda _: self._refuse(_UNREADABLE)  # uvicorn's answer lacks our headers
        self._completed = inner.on_response_complete
        inner.on_response_complete = self._answered
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._served = 0.0  # time at which a request was last in progress and the client had read everything sent
        self._refused = False
        self._cycle: Any = None  # the request seen at the last check
        self._held = bytearray()  # received data not yet passed to uvicorn
        self._head = 0  # bytes of the current, incomplete head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        self._transport = cast("asyncio.Transport", transport)
        self._lingering = _LingeringTransport(self._transport, self._body_pending)
        peer = self._transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        self._served = asyncio.get_running_loop().time()
        place = self._connections.enter(self._client)
        self._refused = place != "served"
        if place == "dropped":
            self._drop()
            return
        if not self._refused:
            self._inner.connection_made(self._lingering)
        self._check_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        if self._transport is None:
            return
        self._transport = None
        self._connections.leave(self._client, refused=self._refused)
        if not self._refused:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self._lingering.lingers:
            return
        if self._refused:
            self._refuse(_FULL)
            return
        self._held += data
        self._feed()

    def _feed(self) -> None:
        """Pass received data to uvicorn piece by piece, until a request waits behind the current one.

        One read may hold thousands of small requests, and each takes a hundred times its length in memory.
        """
        while self._held and self._accepts_more():
            piece = bytes(self._held[:PIECE])
            before = self._inner.cycle
            del self._held[:PIECE]
            self._inner.data_received(piece)
            # Data behind a request in progress is the next head, with the same length limit.
            found = self._inner.cycle is not before
            self._head = 0 if self._body_pending() else unfinished(piece, self._head, complete=found)
            if self._head > HEAD:
                self._held.clear()
                self._refuse(_TOO_LONG)
        self._lingering.fill(bool(self._held))

    def _accepts_more(self) -> bool:
        waiting = getattr(self._inner, "pipeline", None)  # h11 has none, it takes one request at a time
        return self._transport is not None and not waiting and not self._lingering.is_closing()

    def _answered(self) -> None:
        self._completed()
        if self._held:
            asyncio.get_running_loop().call_soon(self._feed)

    def eof_received(self) -> None:
        """See ``asyncio.Protocol``."""
        if not self._refused:
            self._inner.eof_received()

    def pause_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        if not self._refused:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        if not self._refused:
            self._inner.resume_writing()

    def _body_pending(self) -> bool:
        cycle = self._inner.cycle
        return cycle is not None and bool(cycle.more_body)

    def _refuse(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)
            self._transport.close()

    def _drop(self) -> None:
        """Abort the connection. uvicorn is told first, or it might answer into a closed connection."""
        transport = self._transport
        if transport is not None:
            self.connection_lost(None)
            transport.abort()

    def _check_time(self) -> None:
        """Check every second whether the client has exceeded its time."""
        if self._transport is None:
            return
        loop = asyncio.get_running_loop()
        cycle = None if self._refused else self._inner.cycle
        working = cycle is not self._cycle or (cycle is not None and not cycle.response_complete)
        if working and not self._transport.get_write_buffer_size():
            self._cycle = cycle
            self._served = loop.time()
        elif loop.time() - self._served > (SHORT if self._refused or self._lingering.lingers else PATIENCE):
            self._drop()
            return
        loop.call_later(SHORT, self._check_time)

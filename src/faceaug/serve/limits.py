"""Limits that protect the server from a single client, and the security headers of every answer."""

from __future__ import annotations

import ipaddress
import math
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from faceaug.errors import ArgumentError

# Everything is loaded from this server, nothing is inline, and no page may frame this one.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
BURST_SECONDS = 2.0  # burst size: seconds of its rate that a client may use at once
_CLIENTS = 10_000  # tracked clients; the least recently seen one is dropped first


@dataclass(slots=True)
class _Bucket:
    tokens: float
    seen: float


class RateLimit:
    """Rate limit per client address, with short bursts (a token bucket).

    Args:
        rate: requests per second; 0 is no limit.
        clock: monotonic time in seconds.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not 0 <= rate < math.inf:
            raise ArgumentError(f"rate {rate}: expected requests per second, 0 for no limit")
        self._rate = rate
        self._clock = clock
        self._burst = max(1.0, rate * BURST_SECONDS)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, client: str) -> int:
        """Seconds until this client may send its next request, rounded up; 0 lets this one pass."""
        if not self._rate:
            return 0
        now = self._clock()
        bucket = self._buckets.setdefault(client, _Bucket(self._burst, now))
        self._buckets.move_to_end(client)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.seen) * self._rate)
        bucket.seen = now
        if bucket.tokens < 1:
            return max(1, math.ceil((1 - bucket.tokens) / self._rate))
        bucket.tokens -= 1
        return 0


Place: TypeAlias = Literal["served", "refused", "dropped"]


class Connections:
    """Limits the number of connections in total and per address.

    Args:
        each: connections served at a time per address.
        served: connections served in total. Together with ``refused`` below the usual limit of 1,024 open files.
        refused: further connections that get an answer saying so; beyond that they are dropped without one.
    """

    def __init__(self, *, each: int = 100, served: int = 400, refused: int = 550) -> None:
        self._each = each
        self._served = served
        self._refused = refused
        self._clients: Counter[str] = Counter()
        self._waiting = 0

    def enter(self, client: str) -> Place:
        """Register a new connection of this address; the caller must call ``leave`` at its end, whatever the result."""
        if self._clients[client] < self._each and self._clients.total() < self._served:
            self._clients[client] += 1
            return "served"
        self._waiting += 1
        return "refused" if self._waiting <= self._refused else "dropped"

    def leave(self, client: str, *, refused: bool) -> None:
        """Unregister a connection; ``refused`` if it was not served."""
        if refused:
            self._waiting -= 1
            return
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether a host name or address is a loopback address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_is_ours(header: str, bound: str, allowed: tuple[str, ...] = ()) -> bool:
    """Whether a Host header is acceptable for a server bound to this address.

    Another site can point its own name at this machine's address and read what a loopback server answers (DNS
    rebinding). Its requests carry its own name, so a server bound to loopback answers only to loopback names.

    Args:
        header: the Host header, with or without a port.
        bound: address that the server listens on.
        allowed: see ``allowed_hosts``. If given, only these and loopback names are accepted, at every address.
    """
    if not allowed and not is_loopback(bound):
        return True
    name = host_name(header)
    return is_loopback(name) or any(_fits(name, pattern) for pattern in allowed)


def host_name(header: str) -> str:
    """Strip the port from a Host header; lower case."""
    name, _, port = header.rpartition(":")
    return (name if name and (not port or port.isdigit()) else header).lower().removesuffix(".")


def allowed_hosts(names: Iterable[str]) -> tuple[str, ...]:
    """Check names accepted in the Host header: a host without scheme, port or path, "*.example.org", or "*" for any.

    Raises:
        ArgumentError: an invalid name.
    """
    found = tuple(name.strip().lower() for name in names)
    for name in found:
        if not re.fullmatch(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", name):
            raise ArgumentError(
                f"--allow-host {name}: expected a host name such as faces.example.org, without https://, port or "
                "path; *.example.org allows all its subdomains"
            )
    return found


def _fits(name: str, pattern: str) -> bool:
    return pattern in {name, "*"} or (pattern.startswith("*.") and name.endswith(pattern[1:]))

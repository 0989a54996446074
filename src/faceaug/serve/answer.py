"""A finished response, and the headers that every one of ours has. Without torch: all servers of faceaug use it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from faceaug.serve.limits import SECURITY_HEADERS

_FIXED = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished response: status, body, headers without Content-Length.

    Example:
        >>> from faceaug.serve import Answer
        >>> Answer(200, b"ok").headers
        {}
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def encoded_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers for an ASGI server, with the length and the security headers."""
        given = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        bare = self.status in {204, 304}  # RFC 9110, 8.6
        length = [] if bare else [(b"content-length", b"%d" % len(self.body))]
        return [*given, *length, *_FIXED]


def problem(status: int, message: str, *, parameter: str = "", headers: dict[str, str] | None = None) -> Answer:
    """Build a JSON answer about a problem."""
    document = {"error": message, "status": status} | ({"parameter": parameter} if parameter else {})
    fixed = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Answer(status, json.dumps(document).encode(), fixed | (headers or {}))

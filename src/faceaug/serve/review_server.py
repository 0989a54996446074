"""Serve a review on this machine until the person has finished. Loads no torch."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from faceaug.serve.listening import listen, server_of
from faceaug.serve.log import log_to_stderr
from faceaug.serve.review import Review
from faceaug.serve.review_app import HOST, ReviewApplication

_TOKEN = 24  # random bytes


def run_review(review: Review, *, on_listening: Callable[[str], None] = lambda _: None) -> None:
    """Serve until the page says that it is finished, or SIGINT or SIGTERM, which raises KeyboardInterrupt at the end.

    Work under way is finished first. Only this machine can connect, and only who knows the address sees anything.

    Args:
        review: the folder.
        on_listening: called with the address of the page once connections are accepted.

    Raises:
        RefusedError: no port is free.
    """
    log_to_stderr()
    token = secrets.token_urlsafe(_TOKEN)

    def finish() -> None:
        """Stop accepting requests."""
        server.should_exit = True

    server = server_of(ReviewApplication(review, token=token, on_finish=finish))
    with listen(HOST, 0) as listener:
        on_listening(f"http://{HOST}:{listener.getsockname()[1]}/{token}/")
        server.run(sockets=[listener])

"""Errors of a server on stderr, where the program that runs it has not said otherwise."""

from __future__ import annotations

import logging


def log_to_stderr() -> None:
    """Write warnings and errors of faceaug to stderr, unless the program has handlers of its own.

    The package itself is silent (a ``NullHandler``), which would hide why a request failed.
    """
    logger: logging.Logger | None = logging.getLogger("faceaug")
    while logger is not None:
        if not all(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return
        logger = logger.parent if logger.propagate else None
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger("faceaug").addHandler(handler)

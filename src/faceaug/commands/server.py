"""The servers of `faceaug serve` and `faceaug clean --review`, which are an extra."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faceaug.errors import FaceAugError


def load_server() -> Callable[..., None]:
    """Load ``run_server``; FaceAugError with the command that installs what is missing."""
    with missing_extra("serve"):
        from faceaug.serve.server import run_server
    return run_server


@contextmanager
def missing_extra(what: str) -> Iterator[None]:
    """Turn the failed import of a server into a FaceAugError with the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"uvicorn", "h11"}:
            raise
        raise FaceAugError(f"{what} needs {package}: python -m pip install 'faceaug[serve]'") from None

"""The server of `faceaug serve`, which is an extra."""

from __future__ import annotations

from collections.abc import Callable

from faceaug.errors import FaceAugError


def load_server() -> Callable[..., None]:
    """Load ``run_server``; FaceAugError with the command that installs what is missing."""
    try:
        from faceaug.serve.server import run_server
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"uvicorn", "h11"}:
            raise
        raise FaceAugError(f"serve needs {package}: python -m pip install 'faceaug[serve]'") from None
    return run_server

"""Faces over HTTP: a web page, its API, and the same API as a cloud function."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceaug.serve.answer import Answer as Answer
    from faceaug.serve.engine import Busy as Busy, Engine as Engine
    from faceaug.serve.faces import FaceService as FaceService
    from faceaug.serve.query import (
        FaceRequest as FaceRequest,
        ParameterError as ParameterError,
        parse_query as parse_query,
    )

# Imported at their first use: the page of `faceaug clean --review` needs no model and no torch.
_MODULE = {
    "Answer": "faceaug.serve.answer",
    "Busy": "faceaug.serve.engine",
    "Engine": "faceaug.serve.engine",
    "FaceRequest": "faceaug.serve.query",
    "FaceService": "faceaug.serve.faces",
    "ParameterError": "faceaug.serve.query",
    "parse_query": "faceaug.serve.query",
}
__all__ = list(_MODULE)


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module 'faceaug.serve' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE[name]), name)
    globals()[name] = value
    return value

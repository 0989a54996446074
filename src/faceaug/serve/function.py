"""The same faces as a cloud function, for functions-framework: Google's Cloud Run functions and whatever runs it.

The function answers the query of ``/api/faces`` on ``/``. Two variables of the environment choose the model:

* ``FACEAUG_MODEL``: a bundled name (the default is faces-64, in the wheel), a model folder, or "gs://bucket/folder".
* ``FACEAUG_MODEL_SHA256``: of the weights; must be given for a bucket.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from faceaug.serve.bucket import fetch_from_bucket
from faceaug.serve.engine import Engine, Loader
from faceaug.serve.faces import Answer, FaceService, problem
from faceaug.serve.limits import SECURITY_HEADERS
from faceaug.serve.query import MAX_QUERY
from faceaug.synthesize import load_model
from faceaug.synthesize.weights import BUNDLED, default_model

if TYPE_CHECKING:
    from flask import Request

FlaskAnswer: TypeAlias = tuple[bytes, int, dict[str, str]]
WAIT = 60.0  # seconds; the model may have to be fetched first
_MAKING = threading.Lock()


def generate(request: Request) -> FlaskAnswer:
    """Answer one request; the entry point to name when deploying.

    Args:
        request: what functions-framework hands over. Its path and body are not looked at.

    Returns:
        Body, status and headers, as Flask takes them.
    """
    answer = _answer(request)
    return answer.body, answer.status, SECURITY_HEADERS | answer.headers


def _answer(request: Request) -> Answer:
    if request.method not in {"GET", "HEAD"}:
        return problem(405, "only GET and HEAD", headers={"Allow": "GET, HEAD"})
    if request.content_length:
        return problem(413, "a request here has no body")
    if len(request.query_string) > MAX_QUERY:
        return problem(414, f"the query is longer than {MAX_QUERY} bytes", parameter="query")
    held = request.headers.get("If-None-Match", "")
    asked: Future[Answer] = service().ask(request.query_string.decode("latin-1"), if_none_match=held)
    try:
        return asked.result(WAIT)
    except TimeoutError:
        return problem(503, "the faces took too long; try again", headers={"Retry-After": "5"})


def service() -> FaceService:
    """The service of this process, made from the environment at the first request; the model follows with its faces."""
    # Frameworks call from many threads, and there must never be two.
    with _MAKING:
        return _service()


@lru_cache(maxsize=1)
def _service() -> FaceService:
    name, loader = _chosen(os.environ.get("FACEAUG_MODEL", ""), os.environ.get("FACEAUG_MODEL_SHA256", ""))
    return FaceService(Engine({name: loader}, threads=0 if os.environ.get("OMP_NUM_THREADS") else 1))


def _chosen(model: str, sha256: str) -> tuple[str, Loader]:
    """The name a model is offered under, and how to load it."""
    if "://" in model:
        return model.rstrip("/").rpartition("/")[2], partial(fetch_from_bucket, model, sha256=sha256)
    if model in BUNDLED or not model:
        return model or default_model(), partial(load_model, model or None)
    return Path(model).resolve().name, partial(load_model, model)

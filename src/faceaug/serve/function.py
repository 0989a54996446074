"""The API as a cloud function for functions-framework, as in Google's Cloud Run functions.

The function answers the query of ``/api/faces`` on ``/``. Two environment variables choose the model:

* ``FACEAUG_MODEL``: a bundled name (default: faces-64), a model folder, or "gs://bucket/folder".
* ``FACEAUG_MODEL_SHA256``: hash of its config.json; required for a bucket.

Any page may show the faces in an ``<img>``, since they are no secret. A third variable lists the pages that may also
read them:

* ``FACEAUG_ALLOW_ORIGINS``: comma-separated origins, such as "https://shop.example", or "*" for all; empty for none.
"""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import Future
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from faceaug.errors import ArgumentError
from faceaug.serve.answer import Answer, problem
from faceaug.serve.bucket import fetch_from_bucket
from faceaug.serve.engine import Engine, Loader
from faceaug.serve.faces import FaceService, failure
from faceaug.serve.limits import SECURITY_HEADERS
from faceaug.serve.log import log_to_stderr
from faceaug.serve.query import MAX_QUERY
from faceaug.synthesize import load_model
from faceaug.synthesize.weights import BUNDLED, default_model

if TYPE_CHECKING:
    from flask import Request

FlaskAnswer: TypeAlias = tuple[bytes, int, dict[str, str]]
WAIT = 60.0  # seconds; the model may have to be downloaded first
# Without this, other sites could not even show a picture. The page of ``faceaug serve`` keeps the stricter header.
_EMBEDDED = {"Cross-Origin-Resource-Policy": "cross-origin"}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "If-None-Match",
    "Access-Control-Max-Age": "86400",
}
_MAKING = threading.Lock()


def generate(request: Request) -> FlaskAnswer:
    """Answer one request; the entry point to deploy.

    Args:
        request: the request from functions-framework; path and body are ignored.

    Returns:
        Body, status and headers, as Flask takes them.
    """
    try:
        origins = allowed_origins(os.environ.get("FACEAUG_ALLOW_ORIGINS", ""))
        shared = _sharing(request.headers.get("Origin", ""), origins)
        preflight = request.method == "OPTIONS" and "Access-Control-Allow-Origin" in shared
        answer = Answer(204, b"", _PREFLIGHT) if preflight else _answer(request)
    except ArgumentError as error:
        shared = {}
        answer = failure(error)
    return answer.body, answer.status, SECURITY_HEADERS | _EMBEDDED | shared | answer.headers


@lru_cache(maxsize=1)
def allowed_origins(text: str) -> frozenset[str]:
    """Parse the origins whose pages may read the answers.

    Args:
        text: comma-separated; a trailing slash and the usual port are ignored.

    Raises:
        ArgumentError: an invalid origin.
    """
    origins = frozenset(_plain_origin(part.strip().rstrip("/").lower()) for part in text.split(",") if part.strip())
    for origin in sorted(origins):
        if not re.fullmatch(r"\*|https?://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", origin):
            raise ArgumentError(
                f"FACEAUG_ALLOW_ORIGINS: {origin!r} is no origin: expected https://HOST or https://HOST:PORT, no path"
            )
    return origins


def _plain_origin(origin: str) -> str:
    """An origin as browsers name it: without the port that its scheme has by default."""
    usual = {"https": ":443", "http": ":80"}.get(origin.partition("://")[0])
    return origin.removesuffix(usual) if usual else origin


def _sharing(origin: str, origins: frozenset[str]) -> dict[str, str]:
    """CORS headers that let a page of an allowed origin read the answer."""
    if not origins:
        return {}
    vary = {"Vary": "Origin"}  # caches must not mix answers to different origins
    if not origin or not {origin.lower(), "*"} & origins:
        return vary
    return vary | {
        "Access-Control-Allow-Origin": "*" if "*" in origins else origin,
        "Access-Control-Expose-Headers": "ETag, Retry-After, X-Faceaug-Digest, X-Faceaug-Grid, X-Faceaug-Seed",
    }


def _answer(request: Request) -> Answer:
    if request.method not in {"GET", "HEAD"}:
        return problem(405, "only GET and HEAD", headers={"Allow": "GET, HEAD"})
    if request.content_length:
        return problem(413, "requests must not have a body")
    if len(request.query_string) > MAX_QUERY:
        return problem(414, f"the query is longer than {MAX_QUERY} bytes", parameter="query")
    held = request.headers.get("If-None-Match", "")
    asked: Future[Answer] = service().ask(request.query_string.decode("latin-1"), if_none_match=held)
    try:
        return asked.result(WAIT)
    except TimeoutError:
        return problem(503, "the faces took too long; try again", headers={"Retry-After": "5"})


def service() -> FaceService:
    """The service of this process, configured from the environment at the first request; the model loads with it."""
    # Frameworks call from many threads; there must be only one service.
    with _MAKING:
        return _service()


@lru_cache(maxsize=1)
def _service() -> FaceService:
    log_to_stderr()
    name, loader = _chosen(os.environ.get("FACEAUG_MODEL", ""), os.environ.get("FACEAUG_MODEL_SHA256", ""))
    return FaceService(Engine({name: loader}, threads=0 if os.environ.get("OMP_NUM_THREADS") else 1))


def _chosen(model: str, sha256: str) -> tuple[str, Loader]:
    """Public name of a model, and its loader."""
    if "://" in model:
        return model.rstrip("/").rpartition("/")[2], partial(fetch_from_bucket, model, sha256=sha256)
    if model in BUNDLED or not model:
        return model or default_model(), partial(load_model, model or None)
    return Path(model).resolve().name, partial(load_model, model)

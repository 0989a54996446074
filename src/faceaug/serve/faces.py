"""Request -> faces -> response: what the page's API and the cloud function share. No web framework is needed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import platform
import random
import zipfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any

from faceaug.errors import FaceAugError
from faceaug.data.image import Image8, encode_png, encode_webp
from faceaug.reports.shell import grid
from faceaug.serve.engine import Busy, Engine
from faceaug.serve.query import MAX_FACES, FaceRequest, ParameterError, parse_query
from faceaug.synthesize import ModelConfig
from faceaug.synthesize.weights import CONDITIONAL_MODEL

MEDIA = {"png": "image/png", "webp": "image/webp", "zip": "application/zip"}
TERMS = {"LicenseRef-CelebA-NonCommercial": "for non-commercial research and teaching only"}
FOREVER = "public, max-age=31536000, immutable"
RETRY_AFTER = 1  # seconds
CHOSEN_SEEDS = 10**9  # a seed chosen for somebody should be short enough to be typed
_LOG = logging.getLogger(__name__)
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP can say: the same faces are the same bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished response: status, headers without Content-Length, body."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class FaceService:
    """Answers the queries of ``/api/faces``.

    Args:
        engine: makes the faces; closed by whoever made it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._models: list[dict[str, Any]] = []
        self._chance = random.Random()  # noqa: S311 - a seed is no secret, and asking the system takes a while

    def ask(self, query: str, *, if_none_match: str = "", client: str = "") -> Future[Answer]:
        """Begin to answer a query; returns at once and never raises.

        Args:
            query: the part of the URL behind the question mark, percent-encoded.
            if_none_match: the header of that name: answered with 304, and no face computed, where it holds.
            client: who asks; see ``Engine.submit``.

        Returns:
            200 with the faces, 304, 400 that names the parameter, or 503 when too many wait. With a seed in the query
            the answer may be kept for ever: it depends on the query alone.
        """
        answer: Future[Answer] = Future()
        try:
            asked = self.parse(query)
            seed = self._chance.randrange(CHOSEN_SEEDS) if asked.seed is None else asked.seed
            named = replace(asked, seed=seed)
            # Never loads a model here: the caller may be an event loop.
            if asked.seed is not None and if_none_match and self.engine.holds(named.model):
                etag = self._etag(named)
                if _holds(if_none_match, etag):
                    answer.set_result(Answer(304, b"", _caching(named, etag)))
                    return answer
            work = self.engine.submit(named, seed, partial(self._encode, named), client=client)
        except FaceAugError as error:
            answer.set_result(failure(error))
            return answer
        answer.add_done_callback(lambda given_up: given_up.cancelled() and work.cancel())
        work.add_done_callback(partial(self._settle, answer, asked, named))
        return answer

    def parse(self, query: str) -> FaceRequest:
        """See ``parse_query``; the models are the engine's."""
        return parse_query(query, models=self.engine.names, obedient=CONDITIONAL_MODEL)

    def meta(self) -> dict[str, Any]:
        """What is offered: models with their size, licence, hash and attributes, formats and limits. Loads them all."""
        self._models = self._models or [self._described(name) for name in self.engine.names]
        return {
            "models": self._models,
            "formats": list(MEDIA),
            "max_faces": MAX_FACES,
            "max_seed": str(2**63 - 1),  # as text: JavaScript would round the number
            "synthetic": True,
            "version": version("faceaug"),
        }

    def _described(self, name: str) -> dict[str, Any]:
        config = self.engine.model(name).config
        return {
            "name": name, "size": config.size, "license": config.license, "sha256": config.sha256,
            "terms": TERMS.get(config.license, "see the model's card"),
            "attributes": list(config.attributes),
        }  # fmt: skip

    def _settle(self, answer: Future[Answer], asked: FaceRequest, named: FaceRequest, work: Future[bytes]) -> None:
        if not answer.set_running_or_notify_cancel():
            return  # nobody waits any more
        error = work.exception()
        if error is not None:
            answer.set_result(failure(error))
            return
        headers = {"Content-Type": MEDIA[named.format], "X-Faceaug-Grid": f"{named.columns}x{named.rows}"}
        kind = "walk" if named.to is not None else "faces"
        shown = "attachment" if named.format == "zip" else "inline"
        headers["Content-Disposition"] = f'{shown}; filename="{kind}-{named.seed}.{named.format}"'
        # Without a seed in the query the next answer to it is another one.
        caching = _caching(named, None if asked.seed is None else self._etag(named))
        answer.set_result(Answer(200, work.result(), headers | caching))

    def _etag(self, named: FaceRequest) -> str:
        """The same for the same bytes: the request, the weights, and all software that has a part in them."""
        facts = json.dumps(
            [repr(named), self.engine.model(named.model).config.sha256, self.engine.precision, _software()]
        )
        return f'"{hashlib.sha256(facts.encode()).hexdigest()[:32]}"'

    def _encode(self, named: FaceRequest, faces: Sequence[Image8]) -> bytes:
        config = self.engine.model(named.model).config
        if named.format == "zip":
            return _zip(named, config, faces, self._arithmetic())
        sprite = faces[0] if len(faces) == 1 else grid(faces, columns=named.columns, gap=0)
        facts = _facts(named, config) | self._arithmetic()
        return encode_png(sprite, text=facts) if named.format == "png" else encode_webp(sprite, text=facts)

    def _arithmetic(self) -> dict[str, str]:
        """What a picture says of the arithmetic: nothing where it is the reference."""
        return {} if self.engine.precision == "fp32" else {"precision": self.engine.precision}


def failure(error: BaseException) -> Answer:
    """The answer to a request that failed: JSON that names the parameter where it is the caller's fault, no trace."""
    if isinstance(error, ParameterError):
        return problem(400, error.reason, parameter=error.parameter)
    if isinstance(error, Busy):
        return problem(503, f"{error}; try again in a second", headers={"Retry-After": str(RETRY_AFTER)})
    _LOG.error("a request failed", exc_info=error)
    return problem(500, "the faces could not be made; the server's log says why")


def problem(status: int, message: str, *, parameter: str = "", headers: dict[str, str] | None = None) -> Answer:
    """A JSON answer that says what is wrong."""
    document = {"error": message, "status": status} | ({"parameter": parameter} if parameter else {})
    fixed = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Answer(status, json.dumps(document).encode(), fixed | (headers or {}))


@lru_cache(maxsize=1)
def _software() -> tuple[str, ...]:
    return (*(version(name) for name in ("faceaug", "torch", "numpy", "pillow")), platform.machine())


def _caching(named: FaceRequest, etag: str | None) -> dict[str, str]:
    headers = {"X-Faceaug-Seed": str(named.seed)}
    return headers | ({"ETag": etag, "Cache-Control": FOREVER} if etag else {"Cache-Control": "no-store"})


def _holds(if_none_match: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def _facts(named: FaceRequest, config: ModelConfig, k: int | None = None) -> dict[str, str]:
    """What a picture says of itself."""
    facts = {
        "synthetic": "true",
        "model": config.name,
        "model_sha256": config.sha256,
        "license": config.license,
        "seed": str(named.seed),
        "key": str(named.face if k is None else named.face + k),
    }
    if named.to is not None:
        facts |= {"to_seed": str(named.to), "to_key": str(named.to_face), "steps": str(named.n)}
        if k is not None:
            facts |= {"key": str(named.face), "step": str(k)}
    if named.attributes:
        facts["attributes"] = ",".join(f"{name}:{sign}" for name, sign in named.attributes)
        facts["unasked"] = named.unasked
    return facts


def _zip(named: FaceRequest, config: ModelConfig, faces: Sequence[Image8], more: dict[str, str]) -> bytes:
    """A folder that FaceFolder and Hugging Face's imagefolder read: a PNG for each face, and metadata.csv."""
    buffer, table = io.BytesIO(), io.StringIO()
    requested = {f"requested_{name}": sign for name, sign in named.attributes}
    walk = ["step", "to_seed", "to_key"] if named.to is not None else []
    columns = ["file_name", "origin", "model", "seed", "key", *walk, *requested, "sha256"]
    writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for k, face in enumerate(faces):
            name, facts = f"{k:06d}.png", _facts(named, config, k) | more
            data = encode_png(face, text=facts)
            digest = hashlib.sha256(data).hexdigest()
            writer.writerow(facts | requested | {"file_name": name, "origin": "synthetic", "sha256": digest})
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), data)
        archive.writestr(zipfile.ZipInfo("metadata.csv", _ZIP_DATE), table.getvalue())
    return buffer.getvalue()

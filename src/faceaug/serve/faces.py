"""From request to response: the logic shared by the page's API and the cloud function. Needs no web framework."""

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
from dataclasses import asdict, replace
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any

from faceaug.data.image import Image8, encode_png, encode_webp
from faceaug.data.marks import attributes_text, synthetic_text
from faceaug.errors import FaceAugError
from faceaug.reports.shell import grid
from faceaug.serve.answer import Answer, problem
from faceaug.serve.engine import Busy, Engine
from faceaug.serve.query import DIGEST, MAX_FACES, FaceRequest, OtherModelError, ParameterError, parse_query
from faceaug.synthesize import ModelConfig
from faceaug.synthesize.weights import default_model

MEDIA = {"png": "image/png", "webp": "image/webp", "zip": "application/zip"}
TERMS = {"LicenseRef-CelebA-NonCommercial": "for non-commercial research and teaching only"}
FOREVER = "public, max-age=31536000, immutable"
REVALIDATE = "public, no-cache"  # may be cached, but is revalidated by its ETag before use
_GENERATION = 2  # increased when the same seed and model start to give other faces
RETRY_AFTER = 1  # seconds
CHOSEN_SEEDS = 10**9  # chosen seeds are short enough to be typed
_LOG = logging.getLogger(__name__)
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date of a ZIP: the same faces give the same bytes


class FaceService:
    """Answers the queries of ``/api/faces``.

    Args:
        engine: generates the faces; its owner closes it.

    Example:
        >>> from functools import partial
        >>> from faceaug.serve import Engine, FaceService
        >>> from faceaug.synthesize import load_model
        >>> engine = Engine({"dcgan-32": partial(load_model, "dcgan-32")})
        >>> answer = FaceService(engine).ask("n=4&seed=7").result()
        >>> answer.status, answer.headers["X-Faceaug-Grid"]
        (200, '2x2')
        >>> engine.close()
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._conditional = default_model(attributes=True)
        self._models: list[dict[str, Any]] = []
        self._digests: dict[str, str] = {}
        self._random = random.Random()  # noqa: S311 - a seed is no secret, and the system's generator is slow

    def ask(self, query: str, *, if_none_match: str = "", client: str = "") -> Future[Answer]:
        """Start answering a query; returns at once and never raises.

        Args:
            query: the part of the URL after the question mark, percent-encoded.
            if_none_match: the If-None-Match header; if it matches, the answer is 304 and no face is computed.
            client: client address; see ``Engine.submit``.

        Returns:
            200 with the faces, 304, 400 naming the parameter, 404 if the digest names another model, or 503 if too many
            requests wait. With seed and digest in the query the answer may be cached forever: it depends on the query
            alone. With a seed alone, it may be cached as long as its ETag matches.
        """
        answer: Future[Answer] = Future()
        try:
            asked = self.parse(query)
            seed = self._random.randrange(CHOSEN_SEEDS) if asked.seed is None else asked.seed
            named = replace(asked, seed=seed)
            # Never load a model here: the caller may be an event loop.
            if self.engine.holds(named.model):
                self._same_model(named)
                if asked.seed is not None and if_none_match and _holds(if_none_match, self._etag(named)):
                    answer.set_result(Answer(304, b"", self._caching(asked, named)))
                    return answer
            work = self.engine.submit(named, seed, partial(self._encode, named), client=client)
        except FaceAugError as error:
            answer.set_result(failure(error))
            return answer
        answer.add_done_callback(lambda given_up: given_up.cancelled() and work.cancel())
        work.add_done_callback(partial(self._settle, answer, asked, named))
        return answer

    def parse(self, query: str) -> FaceRequest:
        """Parse a query for the engine's models; see ``parse_query``."""
        return parse_query(query, models=self.engine.names, conditional=self._conditional)

    def digest(self, name: str) -> str:
        """Hash of everything that determines a model's faces: config, weights and precision, not the card. Loads it."""
        found = self._digests.get(name)
        if found is None:
            facts = [asdict(self.engine.model(name).config), self.engine.precision, _GENERATION]
            found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:DIGEST]
            self._digests[name] = found
        return found

    def meta(self) -> dict[str, Any]:
        """Describe the service: models with size, licence, hash and attributes, formats, limits. Loads all models."""
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
            "name": name,
            "size": config.size,
            "license": config.license,
            "sha256": config.sha256,
            "digest": self.digest(name),
            "terms": TERMS.get(config.license, "see the model's card"),
            "attributes": list(config.attributes),
        }

    def _settle(self, answer: Future[Answer], asked: FaceRequest, named: FaceRequest, work: Future[bytes]) -> None:
        if not answer.set_running_or_notify_cancel():
            return  # the request was cancelled
        error = work.exception()
        if error is not None:
            answer.set_result(failure(error))
            return
        headers = {"Content-Type": MEDIA[named.format], "X-Faceaug-Grid": f"{named.columns}x{named.rows}"}
        kind = "walk" if named.to is not None else "faces"
        shown = "attachment" if named.format == "zip" else "inline"
        headers["Content-Disposition"] = f'{shown}; filename="{kind}-{named.seed}.{named.format}"'
        answer.set_result(Answer(200, work.result(), headers | self._caching(asked, named)))

    def _caching(self, asked: FaceRequest, named: FaceRequest) -> dict[str, str]:
        headers = {"X-Faceaug-Seed": str(named.seed), "X-Faceaug-Digest": self.digest(named.model)}
        if asked.seed is None:  # the same query gives another answer next time
            return headers | {"Cache-Control": "no-store"}
        # Without a digest, the URL may give other faces tomorrow, from another model of the same name.
        return headers | {"ETag": self._etag(named), "Cache-Control": FOREVER if asked.digest else REVALIDATE}

    def _etag(self, named: FaceRequest) -> str:
        """Identical for identical bytes: request, model, and all software involved."""
        facts = json.dumps([repr(replace(named, digest="")), self.digest(named.model), _software()])
        return f'"{hashlib.sha256(facts.encode()).hexdigest()[:32]}"'

    def _same_model(self, named: FaceRequest) -> None:
        """Raise OtherModelError if the query names another model than the loaded one."""
        if named.digest and named.digest != (here := self.digest(named.model)):
            reason = f"{named.digest} is another {named.model}; this server has {here}. Omit digest= to use it"
            raise OtherModelError("digest", reason)

    def _encode(self, named: FaceRequest, faces: Sequence[Image8]) -> bytes:
        self._same_model(named)  # the model may have been loaded only now
        config = self.engine.model(named.model).config
        if named.format == "zip":
            return _zip(named, config, faces, self._arithmetic())
        sprite = faces[0] if len(faces) == 1 else grid(faces, columns=named.columns, gap=0)
        facts = _facts(named, config) | self._arithmetic()
        return encode_png(sprite, text=facts) if named.format == "png" else encode_webp(sprite, text=facts)

    def _arithmetic(self) -> dict[str, str]:
        """Metadata about the arithmetic; empty for the reference precision."""
        return {} if self.engine.precision == "fp32" else {"precision": self.engine.precision}


def failure(error: BaseException) -> Answer:
    """Answer a failed request with JSON that names the parameter at fault, without a traceback."""
    if isinstance(error, ParameterError):
        return problem(404 if isinstance(error, OtherModelError) else 400, error.reason, parameter=error.parameter)
    if isinstance(error, Busy):
        return problem(503, f"{error}; try again in a second", headers={"Retry-After": str(RETRY_AFTER)})
    _LOG.error("a request failed", exc_info=error)
    return problem(500, "the faces could not be generated; see the server's log")


@lru_cache(maxsize=1)
def _software() -> tuple[str, ...]:
    return (*(version(name) for name in ("faceaug", "torch", "numpy", "pillow")), platform.machine())


def _holds(if_none_match: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def _facts(named: FaceRequest, config: ModelConfig, k: int | None = None) -> dict[str, str]:
    """Metadata of a picture."""
    more = {}
    key = named.face
    if named.to is not None:
        more = {"to_seed": str(named.to), "to_key": str(named.to_face), "steps": str(named.n)}
        more |= {} if k is None else {"step": str(k)}
    elif k is not None:
        key += k
    if named.attributes:
        more |= {"attributes": attributes_text(dict(named.attributes)), "unasked": named.unasked}
    of_model = {"model_sha256": config.sha256, "license": config.license}
    return synthetic_text(config.name, str(named.seed), key, of_model=of_model, more=more)


def _zip(named: FaceRequest, config: ModelConfig, faces: Sequence[Image8], more: dict[str, str]) -> bytes:
    """A ZIP of an imagefolder that FaceFolder and Hugging Face datasets read: one PNG per face, and metadata.csv."""
    buffer = io.BytesIO()
    table = io.StringIO()
    requested = {f"requested_{name}": sign for name, sign in named.attributes}
    walk = ["step", "to_seed", "to_key"] if named.to is not None else []
    columns = ["file_name", "origin", "model", "seed", "key", *walk, *requested, "sha256"]
    writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for k, face in enumerate(faces):
            name = f"{k:06d}.png"
            facts = _facts(named, config, k) | more
            data = encode_png(face, text=facts)
            digest = hashlib.sha256(data).hexdigest()
            writer.writerow(facts | requested | {"file_name": name, "origin": "synthetic", "sha256": digest})
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), data)
        archive.writestr(zipfile.ZipInfo("metadata.csv", _ZIP_DATE), table.getvalue())
    return buffer.getvalue()

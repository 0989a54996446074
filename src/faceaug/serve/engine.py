"""The inference engine: models loaded once, one forward pass at a time, shared by all waiting requests.

Requests that arrive during a pass are batched into the next, up to 32 faces, whatever their seeds and attributes: eight
faces cost little more than one. Where it changes no bit, a small batch takes a smaller pass (see
``faceaug.synthesize.render``). The web server and the cloud function both submit their requests here, from any number
of threads.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from faceaug.data.image import Image8
from faceaug.errors import ArgumentError, FaceAugError
from faceaug.serve.query import FaceRequest, ParameterError
from faceaug.synthesize import Model, SyntheticFaceSource
from faceaug.synthesize.render import BLOCK, Renderer, RenderPrecision, available_precision, between

Loader: TypeAlias = Callable[[], Model]
Encode: TypeAlias = Callable[[list[Image8]], bytes]
_SHARED = 32  # faces of several requests in one pass; their answers are encoded during the next
QUEUE = 128  # unfinished requests at a time


class Busy(FaceAugError):  # noqa: N818 - a state, not an error
    """Too many requests are waiting, or the server is stopping: try again later.

    Example:
        >>> from faceaug.serve import Busy
        >>> raise Busy("the server is stopping")
        Traceback (most recent call last):
        faceaug.serve.engine.Busy: the server is stopping
    """


@dataclass(frozen=True, slots=True)
class _Job:
    request: FaceRequest
    seed: int
    encode: Encode
    client: str
    future: Future[bytes]


class Engine:
    """Generates the faces of requests.

    Args:
        models: loaders by model name; the first model is the default. A model is loaded once, when first needed.
        queue: unfinished requests at a time; one more raises Busy.
        precision: see ``SyntheticFaceSource``.
        threads: torch threads per pass, set for the whole process; 0 leaves the setting alone. With several threads a
            pass waits for the slowest of them, which costs more than it gains when other work runs on the machine.

    Example:
        >>> from functools import partial
        >>> from faceaug.serve import Engine, parse_query
        >>> from faceaug.synthesize import load_model
        >>> engine = Engine({"dcgan-32": partial(load_model, "dcgan-32")})
        >>> request = parse_query("n=2&seed=7", models=engine.names)
        >>> engine.submit(request, 7, lambda faces: b"face " * len(faces)).result()
        b'face face '
        >>> engine.close()
    """

    def __init__(
        self,
        models: Mapping[str, Loader],
        *,
        queue: int = QUEUE,
        precision: RenderPrecision = "fp32",
        threads: int = 0,
    ) -> None:
        if not models or queue < 1:
            raise ArgumentError(f"{len(models)} models, queue {queue}: expected at least one of each")
        self.names = tuple(models)
        self.passes = 0  # forward passes so far; fewer than requests if passes are shared
        self._loaders = dict(models)
        self._queue = queue
        self.precision = available_precision(precision, torch.device("cpu"))
        self._loaded: dict[str, Model] = {}
        self._renderers: dict[str, Renderer] = {}
        if threads:
            torch.set_num_threads(threads)
        self._loading = threading.Lock()
        self._changed = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._unfinished_of: Counter[str] = Counter()  # unfinished requests per client
        self._unfinished = 0
        self._open = True
        # Pictures are compressed outside the interpreter lock, during the next pass.
        self._threads = os.cpu_count() or 1
        self._encoders = ThreadPoolExecutor(self._threads, thread_name_prefix="faceaug-encode")
        self._worker = threading.Thread(target=self._work, name="faceaug-forward", daemon=True)
        self._worker.start()

    @property
    def ready(self) -> bool:
        """Whether the default model is loaded and requests are accepted."""
        return self._open and self.holds(self.names[0])

    def holds(self, name: str) -> bool:
        """Whether a model is loaded."""
        return name in self._loaded

    def model(self, name: str) -> Model:
        """Return the model of this name, loading it if necessary.

        Raises:
            FaceAugError: the model cannot be loaded; the next call tries again.
        """
        found = self._loaded.get(name)
        if found is None:
            with self._loading:
                found = self._loaded.get(name) or self._loaders[name]()
                self._loaded[name] = found
        return found

    def submit(self, request: FaceRequest, seed: int, encode: Encode, *, client: str = "") -> Future[bytes]:
        """Queue a request; returns at once.

        Args:
            request: the request.
            seed: its seed, or the one chosen for it.
            encode: turns the faces, uint8 (H, W, 3) each, into the bytes of the answer; called in another thread.
            client: client address. Clients take turns, and one client may fill half the queue; "" is anonymous.

        Returns:
            A future of the bytes, or of a ParameterError for attributes that the model does not take, or of the reason
            why the model cannot be loaded.

        Raises:
            Busy: the queue or the client's half of it is full, or the engine is closed.
        """
        job = _Job(request, seed, encode, client, Future())
        with self._changed:
            if not self._open:
                raise Busy("the server is stopping")
            if self._unfinished >= self._queue:
                raise Busy(f"{self._queue} requests are already waiting")
            if client and 2 * self._unfinished_of[client] >= max(self._queue, 2):
                raise Busy(f"{self._unfinished_of[client]} of your requests are already waiting")
            self._unfinished += 1
            self._unfinished_of[client] += 1
            self._waiting.append(job)
            self._changed.notify()
        job.future.add_done_callback(lambda _: self._done(client))
        return job.future

    def close(self) -> None:
        """Accept no more requests, finish the waiting ones, and stop the threads."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._worker.join()
        self._encoders.shutdown()

    def _done(self, client: str) -> None:
        with self._changed:
            self._unfinished -= 1
            self._unfinished_of[client] -= 1
            if not self._unfinished_of[client]:
                del self._unfinished_of[client]

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                self._render(batch)
            except Exception as error:  # noqa: BLE001 - report any error to the waiting requests and keep the thread alive
                for job in batch:
                    if not job.future.done():
                        job.future.set_exception(error)

    def _next_batch(self) -> list[_Job]:
        """Wait for requests; return the first and all others for its model that fit into the same pass."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._open)
            batch: list[_Job] = []
            left: deque[_Job] = deque()
            room = _SHARED
            for job in _round_robin(self._waiting):
                fits = not batch or (job.request.model == batch[0].request.model and job.request.n <= room)
                (batch if fits else left).append(job)
                room -= job.request.n if fits else 0
            self._waiting = left
            return batch

    def _render(self, batch: list[_Job]) -> None:
        jobs = [job for job in batch if job.future.set_running_or_notify_cancel()]
        if not jobs:
            return
        model = self.model(jobs[0].request.model)
        asked = [(job, latents) for job in jobs if (latents := self._latents_or_refusal(model, job)) is not None]
        if not asked:
            return
        faces = self._renderer(jobs[0].request.model).block(torch.cat([latents for _, latents in asked]))
        pictures = list(faces.permute(0, 2, 3, 1).contiguous().numpy())
        self.passes += 1
        made = [(job, [pictures.pop(0) for _ in latents]) for job, latents in asked]
        # Several requests per task: handing one over costs as much as a small picture.
        share = -(-len(made) // self._threads)
        for start in range(0, len(made), share):
            self._encoders.submit(_finish, made[start : start + share])

    def _renderer(self, name: str) -> Renderer:
        found = self._renderers.get(name)
        if found is None:
            model = self.model(name)
            found = Renderer(model.generator, self.precision, torch.device("cpu"))
            found.allow_parts(SyntheticFaceSource(model).latents(BLOCK))
            self._renderers[name] = found
        return found

    def _latents_or_refusal(self, model: Model, job: _Job) -> Tensor | None:
        try:
            return self._latents(model, job)
        except ArgumentError as error:  # this request's own error, which must not affect the others in the pass
            job.future.set_exception(ParameterError("attributes", str(error)))
            return None

    def _latents(self, model: Model, job: _Job) -> Tensor:
        asked = job.request
        # Selecting faces by the classifier takes seconds to minutes, too long for a request.
        source = partial(
            SyntheticFaceSource, model, attributes=dict(asked.attributes), unasked=asked.unasked, choose=False
        )
        faces = source(seed=job.seed).latents(asked.n if asked.to is None else 1, start=asked.face)
        if asked.to is None:
            return faces
        first, last = faces[0], source(seed=asked.to).latents(1, start=asked.to_face)[0]
        return between(first, last, asked.n, model.config.latent, z_size=model.config.z_size)


def _round_robin(waiting: Iterable[_Job]) -> list[_Job]:
    """Order round-robin: the first request of every client, then the second of every client, and so on."""
    before: Counter[str] = Counter()
    turns = []
    for job in waiting:
        turns.append((before[job.client], job))
        before[job.client] += 1
    return [job for _, job in sorted(turns, key=lambda turn: turn[0])]  # stable: otherwise in order of arrival


def _finish(made: list[tuple[_Job, list[Image8]]]) -> None:
    for job, faces in made:
        try:
            job.future.set_result(job.encode([np.ascontiguousarray(face) for face in faces]))
        except Exception as error:  # noqa: BLE001 - the waiting request must get the error
            job.future.set_exception(error)

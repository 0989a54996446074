"""The one place that computes: models loaded once, one forward pass at a time, shared by all who wait for it.

A pass always computes 64 faces, because a face must not depend on its company (see ``faceaug.synthesize.render``). So
a pass for one face costs as much as one for 64, and requests that arrive while a pass is under way go together into
the next. Both the web server and the cloud function hand their requests in here, from any number of threads.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from faceaug.annotations import ATTRIBUTES
from faceaug.errors import ArgumentError, FaceAugError
from faceaug.image import Image8
from faceaug.serve.query import FaceRequest, ParameterError
from faceaug.synthesize import Model, SyntheticFaceSource
from faceaug.synthesize.render import BLOCK, between

Loader: TypeAlias = Callable[[], Model]
Encode: TypeAlias = Callable[[list[Image8]], bytes]
QUEUE = 128  # requests that may be unfinished at a time


class Busy(FaceAugError):  # noqa: N818 - a state, not a mistake
    """Too many requests wait already, or the server is stopping: try again later."""


@dataclass(frozen=True, slots=True)
class _Job:
    request: FaceRequest
    seed: int
    encode: Encode
    future: Future[bytes]


class Engine:
    """Makes the faces of requests.

    Args:
        models: how to load each model, by the name it is offered under; the first is the default. A model is loaded
            when first needed, once.
        queue: requests that may be unfinished at a time; one more raises Busy.
        make_source: the class whose objects turn (model, seed, attributes) into latent vectors and those into faces.
    """

    def __init__(
        self,
        models: Mapping[str, Loader],
        *,
        queue: int = QUEUE,
        make_source: type[SyntheticFaceSource] = SyntheticFaceSource,
    ) -> None:
        if not models or queue < 1:
            raise ArgumentError(f"{len(models)} models, queue {queue}: expected at least one of each")
        self.names = tuple(models)
        self.passes = 0  # forward passes so far; fewer than requests when requests share them
        self._loaders, self._queue = dict(models), queue
        # Choosing faces by the classifier takes seconds to minutes: not for the asking.
        self._make_source = partial(make_source, choose=False)
        self._loaded: dict[str, Model] = {}
        self._loading = threading.Lock()
        self._changed = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._unfinished, self._open = 0, True
        # Compressing pictures goes on outside the interpreter lock, beside the next pass.
        self._encoders = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="faceaug-encode")
        self._worker = threading.Thread(target=self._work, name="faceaug-forward", daemon=True)
        self._worker.start()

    @property
    def ready(self) -> bool:
        """Whether the default model is loaded and requests are taken."""
        return self._open and self.holds(self.names[0])

    def holds(self, name: str) -> bool:
        """Whether this model is loaded already."""
        return name in self._loaded

    def model(self, name: str) -> Model:
        """The model of this name, loaded if it is not yet.

        Raises:
            FaceAugError: it cannot be loaded; the next call tries again.
        """
        found = self._loaded.get(name)
        if found is None:
            with self._loading:
                found = self._loaded.get(name) or self._loaders[name]()
                self._loaded[name] = found
        return found

    def attributes(self, name: str) -> tuple[str, ...]:
        """The attributes this model takes; often none."""
        return tuple(attribute for attribute in ATTRIBUTES if self._takes(name, attribute))

    def submit(self, request: FaceRequest, seed: int, encode: Encode) -> Future[bytes]:
        """Queue a request; returns at once.

        Args:
            request: what is wanted.
            seed: the request's, or the one chosen for it.
            encode: turns the faces, uint8 (H, W, 3) each, into the answer's bytes; called in another thread.

        Returns:
            The bytes, or a ParameterError for attributes the model does not take, or why the model cannot be loaded.

        Raises:
            Busy: the queue is full or the engine is closed.
        """
        job = _Job(request, seed, encode, Future())
        with self._changed:
            if not self._open:
                raise Busy("the server is stopping")
            if self._unfinished >= self._queue:
                raise Busy(f"{self._queue} requests are waiting already")
            self._unfinished += 1
            self._waiting.append(job)
            self._changed.notify()
        job.future.add_done_callback(self._done)
        return job.future

    def close(self) -> None:
        """Take no more requests, finish those that wait, end the threads."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._worker.join()
        self._encoders.shutdown()

    def _done(self, _: Future[bytes]) -> None:
        with self._changed:
            self._unfinished -= 1

    def _takes(self, name: str, attribute: str) -> bool:
        try:
            self._make_source(self.model(name), attributes={attribute: 1})
        except ArgumentError:
            return False
        return True

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                self._render(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told and the thread lives on
                for job in batch:
                    if not job.future.done():
                        job.future.set_exception(error)

    def _next_batch(self) -> list[_Job]:
        """Wait for requests; then the first, and with it those behind it that fit into the same pass."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._open)
            batch: list[_Job] = []
            faces = 0
            while self._waiting:
                wanted = self._waiting[0].request
                first = batch[0].request if batch else wanted
                same = (wanted.model, wanted.attributes) == (first.model, first.attributes)
                if batch and (not same or faces + wanted.n > BLOCK):
                    break
                batch.append(self._waiting.popleft())
                faces += wanted.n
            return batch

    def _render(self, batch: list[_Job]) -> None:
        jobs = [job for job in batch if job.future.set_running_or_notify_cancel()]
        if not jobs:
            return
        wanted = jobs[0].request
        model = self.model(wanted.model)
        try:
            source = self._make_source(model, attributes=dict(wanted.attributes) or None)
        except ArgumentError as error:
            raise ParameterError("attributes", str(error)) from None
        latents = [self._latents(model, job) for job in jobs]
        faces = source.render(torch.cat(latents)).permute(0, 2, 3, 1).contiguous().numpy()
        self.passes += 1
        start = 0
        for job in jobs:
            self._encoders.submit(_finish, job, list(faces[start : start + job.request.n]))
            start += job.request.n

    def _latents(self, model: Model, job: _Job) -> Tensor:
        asked = job.request
        wanted = dict(asked.attributes) or None
        source = self._make_source(model, seed=job.seed, attributes=wanted)
        if asked.to is None:
            return source.latents(asked.n, start=asked.face)
        first = source.latents(1, start=asked.face)[0]
        last = self._make_source(model, seed=asked.to, attributes=wanted).latents(1, start=asked.to_face)[0]
        return between(first, last, asked.n, model.config.latent, z_size=model.config.z_size)


def _finish(job: _Job, faces: list[Image8]) -> None:
    try:
        job.future.set_result(job.encode([np.ascontiguousarray(face) for face in faces]))
    except Exception as error:  # noqa: BLE001 - whoever waits for the answer must hear of it
        job.future.set_exception(error)

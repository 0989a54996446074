"""The training loop: one function that reads as what it does.

Every step draws its numbers from (seed, step) and the state is saved whole, so a run that was stopped and resumed
is, on the same machine, the same run to the bit.
"""

from __future__ import annotations

import copy
import json
import math
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceaug.annotations import select_rows
from faceaug.draws import stream
from faceaug.errors import ArgumentError, FaceAugError, Interrupted, RefusedError, printable
from faceaug.files import explained, finish_output, prepare_output, remove_output, write_bytes, write_json
from faceaug.folder import FaceFolder
from faceaug.image import encode_png
from faceaug.pages import grid
from faceaug.synthesize.networks import Generator, build_network
from faceaug.synthesize.source import to_uint8
from faceaug.synthesize.weights import load_model
from faceaug.train.checkpoint import (
    Checkpoint,
    checkpoints,
    optimizer_tensors,
    part,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from faceaug.train.config import Precision, TrainConfig
from faceaug.train.export import export_model
from faceaug.train.faces import ShowingOrder, fingerprint, load_faces
from faceaug.train.losses import discriminator_loss, generator_loss

RUN_FILE, LOG_FILE = "config.json", "log.jsonl"
_SAMPLES = 32  # faces per half of a sample sheet: raw weights above, averaged below


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: images shown, images in all, images per second, losses of the last step."""

    images: int
    total: int
    rate: float
    d_loss: float
    g_loss: float


@dataclass(frozen=True, slots=True)
class TrainReport:
    """How a run ended.

    Attributes:
        run: the run folder.
        model: the model folder in it, loadable by ``SyntheticFaceSource``.
        images: real images shown so far.
        finished: whether that is all the config asks for.
        faces: training faces.
        unreadable: pictures left out, a line each.
        seconds: of this session.
    """

    run: Path
    model: Path
    images: int
    finished: bool
    faces: int
    unreadable: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": str(self.run), "model": str(self.model), "images": self.images, "finished": self.finished,
            "faces": self.faces, "unreadable": list(self.unreadable), "seconds": round(self.seconds, 2),
        }  # fmt: skip


def train_gan(
    folder: FaceFolder | Path | str,
    out: Path | str,
    config: TrainConfig = TrainConfig(),  # noqa: B008 - frozen
    *,
    resume: bool = False,
    init: str | Path | None = None,
    minutes: float | None = None,
    partition: str | int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> TrainReport:
    """Train a DCGAN on a folder of faces.

    Args:
        folder: real faces. Only rows of the wanted partition are seen.
        out: run folder: config.json, checkpoint-*/, samples/, log.jsonl, model/. New; an unfinished run with the same
            arguments is continued.
        config: see ``TrainConfig`` and ``faceaug.train.config.PRESETS``.
        resume: there must be a run in ``out``; continue its newest checkpoint. The config must be the one it began
            with, except ``images``: a finished run can be made longer.
        init: model whose generator is the start, instead of fresh weights.
        minutes: save and return after so many minutes, finished or not.
        partition: "train", "val", "test" or "all"; None is the train rows where a table has any, else all rows.
        on_progress: called every ``config.log_every`` images.

    Raises:
        RefusedError: no readable faces, or ``out`` holds something else, or the faces are not those it began with.
        Interrupted: SIGINT or SIGTERM; everything is saved first.
    """
    folder = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    run, began = Path(out), time.monotonic()
    rows, _ = select_rows(folder.annotations, partition)
    start = None if init is None else _load_start(init, config)
    existed = run.exists()
    goes_on = _open_run(run, folder, config, resume=resume, init=init)
    try:
        faces, unreadable = _enough_faces(folder, config, rows)
    except RefusedError:
        if not goes_on:  # nothing was begun, so nothing stays
            remove_output(run / RUN_FILE if existed else run)
        raise
    session = _Session(run, config, faces, start=start)
    if goes_on:
        session.restore()
    deadline = math.inf if minutes is None else began + 60 * minutes
    with _Signals() as signals, explained(run), (run / LOG_FILE).open("a") as log:
        while session.images < config.images and time.monotonic() < deadline and not signals.received:
            session.step()
            if session.due(config.log_every):
                session.write_log(log, on_progress)
            if session.due(config.sample_every):
                session.write_samples()
            if session.due(config.checkpoint_every):
                session.save()
        session.save()
        session.write_samples()
    if signals.received:
        raise Interrupted(
            f"stopped by {signals.received} at {session.images:,} of {config.images:,} images; everything is saved, "
            "--resume continues"
        )
    seconds = time.monotonic() - began
    finished = session.images >= config.images
    if finished:
        finish_output(run, marker=RUN_FILE, document=json.loads((run / RUN_FILE).read_bytes()))
    return TrainReport(run, run / "model", session.images, finished, len(faces), tuple(unreadable), seconds)


class _Session:
    """The moving parts of a run: networks, optimizers, the average, and where it is."""

    def __init__(self, run: Path, config: TrainConfig, faces: NDArray[np.uint8], *, start: Generator | None) -> None:
        self.run, self.config = run, config
        self.faces, self.faces_id = torch.from_numpy(faces), fingerprint(faces)
        self.order = ShowingOrder(len(faces), config.seed)
        self.precision = resolve_precision(config.precision)
        self.discriminator, self.generator = build_network(
            config.d_conv_dim, config.g_conv_dim, config.z_size, seed=config.seed
        )
        if start is not None:
            self.generator.load_state_dict(start.state_dict())
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        for network in (self.discriminator, self.generator):
            network.to(memory_format=torch.channels_last)
        self.d_adam = _adam(self.discriminator, config)
        self.g_adam = _adam(self.generator, config)
        self.steps = self.images = 0
        self.losses = (math.nan, math.nan)
        self._clock = (time.monotonic(), 0)

    def step(self) -> None:
        """Show one batch to the discriminator, then teach the generator, then move the average."""
        real, batch = self._real_batch(), self.config.batch
        with self._autocast():
            fake = self.generator(self._latents("train/latent/d", batch))
            d_loss = discriminator_loss(self.discriminator(real), self.discriminator(fake.detach()))
        self.d_adam.zero_grad(set_to_none=True)
        d_loss.backward()  # type: ignore[no-untyped-call]
        self.d_adam.step()

        with self._autocast():
            fake = self.generator(self._latents("train/latent/g", batch))
            g_loss = generator_loss(self.discriminator(fake))
        self.g_adam.zero_grad(set_to_none=True)
        g_loss.backward()  # type: ignore[no-untyped-call]
        self.g_adam.step()

        self.steps += 1
        self.images += batch
        self._move_average()
        self.losses = (float(d_loss.detach()), float(g_loss.detach()))
        if not all(map(math.isfinite, self.losses)):
            raise FaceAugError(
                f"{printable(self.run)}: the losses became {self.losses} at {self.images:,} images; the weights before "
                "are kept. Begin a new run with a lower learning rate or --precision fp32; "
                f"--init {printable(self.run)} starts it from them"
            )

    def due(self, every: int) -> bool:
        """Whether the last step passed a multiple of ``every`` images."""
        return self.images // every != (self.images - self.config.batch) // every

    def save(self) -> None:
        """Write a checkpoint, and the averaged weights as a model."""
        tensors: dict[str, Tensor] = {}
        for name, network in self._networks().items():
            tensors |= {f"{name}/{key}": value for key, value in network.state_dict().items()}
        tensors |= optimizer_tensors(self.d_adam, "d_adam") | optimizer_tensors(self.g_adam, "g_adam")
        write_checkpoint(self.run, Checkpoint(self.steps, self.images, self.faces_id, tensors))
        export_model(self.run, self.run / "model")

    def restore(self) -> None:
        """Take over the newest checkpoint of the run, and cut the log back to it."""
        found = checkpoints(self.run)
        if not found:  # stopped before the first one
            _cut_log(self.run / LOG_FILE, 0)
            return
        saved = read_checkpoint(found[-1])
        if saved.faces != self.faces_id:
            raise RefusedError(
                f"{printable(self.run)}: the faces are not those the run began with; give the same folder, unchanged"
            )
        for name, network in self._networks().items():
            network.load_state_dict(part(saved.tensors, name))
        restore_optimizer(self.d_adam, saved.tensors, "d_adam")
        restore_optimizer(self.g_adam, saved.tensors, "g_adam")
        self.steps, self.images = saved.step, saved.images
        self._clock = (time.monotonic(), self.images)
        _cut_log(self.run / LOG_FILE, self.images)

    def write_log(self, log: TextIO, on_progress: Callable[[Progress], None] | None) -> None:
        """Append one line of JSON and tell the caller."""
        then, shown = self._clock
        now = time.monotonic()
        rate = (self.images - shown) / max(now - then, 1e-9)
        self._clock = (now, self.images)
        line = {
            "images": self.images,
            "d_loss": self.losses[0],
            "g_loss": self.losses[1],
            "images_per_s": round(rate, 1),
        }
        log.write(json.dumps(line) + "\n")
        log.flush()
        if on_progress is not None:
            on_progress(Progress(self.images, self.config.images, rate, *self.losses))

    def write_samples(self) -> None:
        """The same latents every time: raw weights in the upper half, averaged ones in the lower."""
        z = torch.from_numpy(
            stream(self.config.seed, slot="train/samples").standard_normal((_SAMPLES, self.config.z_size), "f4")
        )
        self.generator.eval()
        with torch.inference_mode():
            faces = torch.cat([to_uint8(self.generator(z)), to_uint8(self.average.eval()(z))])
        self.generator.train()
        sheet = grid(list(faces.permute(0, 2, 3, 1).numpy()), columns=16, enlarge=2)
        folder = self.run / "samples"
        folder.mkdir(exist_ok=True)
        write_bytes(folder / f"{self.images:09d}.png", encode_png(sheet))

    def _real_batch(self) -> Tensor:
        shown = self.order(self.images, self.config.batch)
        real = self.faces[torch.from_numpy(shown)].float().div_(127.5).sub_(1.0)
        if self.config.flip:
            mirrored = stream(self.config.seed, index=self.steps, slot="train/flip").random(len(shown)) < 0.5
            real = torch.where(torch.from_numpy(mirrored)[:, None, None, None], real.flip(3), real)
        return real.contiguous(memory_format=torch.channels_last)

    def _latents(self, slot: str, count: int) -> Tensor:
        numbers = stream(self.config.seed, index=self.steps, slot=slot)
        return torch.from_numpy(numbers.standard_normal((count, self.config.z_size), "f4"))

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16")

    @torch.no_grad()
    def _move_average(self) -> None:
        half_life = min(self.config.average_half_life, self.images * self.config.average_rampup)
        keep = 0.5 ** (self.config.batch / max(half_life, 1e-8))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - keep)
        for mean, new in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mean.copy_(new.to(mean.dtype) if not mean.is_floating_point() else torch.lerp(mean, new, 1 - keep))

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}


def resolve_precision(wanted: Precision) -> Precision:
    """What "auto" means here: bf16 where the processor has matrix instructions for it, else fp32."""
    if wanted != "auto":
        return wanted
    capable = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    capable = capable and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16" if capable else "fp32"


def _adam(network: nn.Module, config: TrainConfig) -> torch.optim.Adam:
    betas = (config.beta1, config.beta2)
    return torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=betas, fused=True)


def _enough_faces(
    folder: FaceFolder, config: TrainConfig, rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], list[str]]:
    faces, unreadable = load_faces(folder, crop=config.crop, size=config.size, rows=rows)
    if len(faces) < config.batch:
        raise RefusedError(f"{printable(folder.root)}: {len(faces)} faces are fewer than one batch of {config.batch}")
    return faces, unreadable


def _load_start(init: str | Path, config: TrainConfig) -> Generator:
    start = load_model(init)
    if (start.config.z_size, start.config.conv_dim) != (config.z_size, config.g_conv_dim):
        raise ArgumentError(f"init {printable(init)}: its layers have other sizes than this config's")
    return start.generator


def _open_run(run: Path, folder: FaceFolder, config: TrainConfig, *, resume: bool, init: str | Path | None) -> bool:
    """Make the run folder, or check that the one there is this run. Returns whether there is something to continue."""
    identity = config.to_json() | {"init": None if init is None else str(init)}
    if not resume:
        return prepare_output(run, inside=folder.root, marker=RUN_FILE, identity=identity)
    began_with = _began_with(run)
    # It may go on for more images than it began with, and what its weights were at the start need not be said again.
    free = {"images"} if init is not None else {"images", "init"}
    changed = [key for key in identity if key not in free and began_with.get(key) != identity[key]]
    if changed:
        was = ", ".join(f"{key} was {began_with.get(key)}" for key in changed)
        raise RefusedError(f"{printable(run)}: the run began with another config ({was}); resume with the same")
    with explained(run):
        write_json(run / RUN_FILE, {"run": began_with | {"images": config.images}, "finished": False})
    return True


def _began_with(run: Path) -> dict[str, Any]:
    path = run / RUN_FILE
    if not path.is_file():
        raise RefusedError(f"{printable(run)}: no run to resume there")
    try:
        found: dict[str, Any] = dict(json.loads(path.read_bytes())["run"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FaceAugError(f"{printable(path)}: not a readable run file ({error}); train into a new folder") from error
    return found


def _cut_log(path: Path, images: int) -> None:
    """Keep the lines up to a checkpoint; what comes after is written again, and a torn last line is none."""
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["images"] <= images]
    write_bytes(path, "".join(kept).encode())


class _Signals:
    """Notes SIGINT and SIGTERM instead of dying from them; the loop looks after each step."""

    def __init__(self) -> None:
        self.received = ""

    def __enter__(self) -> _Signals:
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # elsewhere Python forbids handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number).name

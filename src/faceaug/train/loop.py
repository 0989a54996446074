"""The training loop: one function that reads as what it does.

Every step draws its numbers from (seed, step) and the state is saved whole, so a run that was stopped and resumed
is, on the same machine, the same run to the bit.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from faceaug.data.annotations import select_rows
from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError, Interrupted, RefusedError, printable
from faceaug.presentation import Fact, Presentation
from faceaug.progress import SILENT, Progress, Show, open_progress
from faceaug.storage.files import explained, finish_output, remove_output
from faceaug.storage.locks import LOCK, locked
from faceaug.train.attributes import with_attributes
from faceaug.train.backbones import require_backbone
from faceaug.train.config import DEFAULT_PRESET, PRESETS, TrainConfig
from faceaug.train.faces import Faces, drop_faces, map_faces
from faceaug.train.keeper import Keeper, restore_newest
from faceaug.train.processes import Processes, join_processes
from faceaug.train.record import RUN_FILE, RunLog, open_run
from faceaug.train.samples import write_film
from faceaug.train.session import Session
from faceaug.train.signals import Signals
from faceaug.train.start import load_start
from faceaug.train.words import session_words


@dataclass(frozen=True, slots=True, repr=False)
class TrainReport(Presentation):
    """How a run ended.

    Attributes:
        run: the run folder.
        model: the model folder in it, loadable by ``SyntheticFaceSource``.
        images: real images shown so far.
        finished: whether that is all the config asks for.
        faces: training faces.
        unreadable: pictures left out, a line each.
        seconds: of this session.
        added: real images shown in this session; 0 if it ended before its first step.
        minutes: time limit of this session; None if it had none.
        notes: anything odd about the folder, a line each.
    """

    run: Path
    model: Path
    images: int
    finished: bool
    faces: int
    unreadable: tuple[str, ...]
    seconds: float
    added: int
    minutes: float | None = None
    notes: tuple[str, ...] = ()

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [
            ("model", self.model), ("images shown", self.images), ("in this session", self.added),
            ("finished", self.finished), ("training faces", self.faces), ("unreadable", len(self.unreadable)),
            ("seconds", round(self.seconds, 1)), ("notes", len(self.notes)),
        ]  # fmt: skip

    def summary(self) -> str:
        """What people read: how far the run is, whether this session added anything, and where the model is."""
        words = session_words(
            f"images of {self.faces:,} faces", images=self.images, added=self.added, finished=self.finished,
            minutes=self.minutes, seconds=self.seconds,
        )  # fmt: skip
        return f"{words} Model: {self.model}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": str(self.run), "model": str(self.model), "images": self.images, "finished": self.finished,
            "faces": self.faces, "unreadable": list(self.unreadable), "seconds": round(self.seconds, 2),
            "added": self.added, "notes": list(self.notes),
        }  # fmt: skip


def train_gan(
    folder: FaceFolder | Path | str,
    out: Path | str,
    config: TrainConfig = PRESETS[DEFAULT_PRESET],
    *,
    resume: bool = False,
    init: str | Path | None = None,
    minutes: float | None = None,
    partition: str | int | None = None,
    device: str | torch.device | None = None,
    tensorboard: bool = False,
    progress: Show = None,
) -> TrainReport:
    """Train a DCGAN on a folder of faces. Under torchrun, several processes train it together.

    Args:
        folder: real faces. Only rows of the wanted partition are seen.
        out: run folder: config.json, checkpoint-*/, samples/, log.jsonl, model/. New; an unfinished run with the same
            arguments is continued.
        config: see ``TrainConfig`` and ``faceaug.train.config.PRESETS``.
        resume: there must be a run in ``out``; continue its newest checkpoint. The config must be the one it began
            with, except ``images``: a finished run can be made longer.
        init: model whose generator is the start, instead of fresh weights; of a run folder also its discriminators,
            if they have this config's shape, and the moments of its optimizers, if they are of the same kind.
        minutes: save and return after so many minutes, finished or not.
        partition: "train", "val", "test" or "all"; None is the train rows where a table has any, else all rows.
        device: where to compute; None is the GPU where there is one, else the CPU. To the bit the same only on a CPU.
        tensorboard: also write ``out``/tensorboard; needs the extra of that name.
        progress: None shows progress on a terminal and in a notebook, True everywhere, False nowhere; a function is
            called with (phase, done, total, words) after every step, and ``words`` are the newest losses. See
            ``faceaug.progress.open_progress``. Of several processes the first one shows it.

    Raises:
        ArgumentError: the config asks for a package that is not installed.
        RefusedError: no readable faces, or ``out`` holds something else or another process trains there, or the faces
            are not those it began with.
        Interrupted: SIGINT or SIGTERM; everything is saved first.
        FaceAugError: the numbers ran away again and again; the last checkpoint is kept.
    """
    if config.projected:
        require_backbone(config.projected_on)
    folder, run, began = folder if isinstance(folder, FaceFolder) else FaceFolder(folder), Path(out), time.monotonic()
    start = None if init is None else load_start(init, config)
    with join_processes(device) as processes, ExitStack() as lock:
        _check_shares(config, processes)
        shown, existed = SILENT if processes.rank else open_progress(progress), run.exists()
        goes_on = processes.rank == 0 and open_run(run, folder, config, resume=resume, init=init)
        if processes.rank == 0:  # whose folder it is
            lock.enter_context(_alone(run))
        try:
            faces = _load(folder, run, config, processes, partition=partition, begun=init is not None, shown=shown)
        except RefusedError:
            if not goes_on:  # nothing was begun, so nothing remains
                lock.close()
                _withdraw(run, existed=existed)
            raise
        session = Session(config, faces, processes, start=start)
        restore_newest(run, session, processes)
        before = session.images
        deadline = math.inf if minutes is None else began + 60 * minutes
        limit = deadline - time.monotonic()
        with (
            Signals() as signals, explained(run), _log(run, session, processes, tensorboard=tensorboard) as log,
            shown.phase("training", config.images, "images", start=session.images, limit=limit) as phase,
        ):  # fmt: skip
            keeper = Keeper(run, session, processes, log, phase)
            while session.images < config.images:
                if processes.any(bool(signals.received) or time.monotonic() >= deadline):
                    break
                if not session.step() and session.guard.skipped >= config.skips:
                    keeper.roll_back()
                    continue
                keeper.attend()
            keeper.save()
            keeper.write_samples()
            _finish(run, session, processes)
    if signals.received:
        raise Interrupted(
            f"stopped by {signals.received} at {session.images:,} of {config.images:,} images; everything is saved, "
            "--resume continues"
        )
    seconds, finished = time.monotonic() - began, session.images >= config.images
    return TrainReport(
        run, run / "model", session.images, finished, len(faces.pixels), faces.unreadable, seconds,
        added=max(session.images - before, 0), minutes=minutes, notes=folder.notes,
    )  # fmt: skip


def _finish(run: Path, session: Session, processes: Processes) -> None:
    if session.images < session.config.images:
        return
    if processes.rank == 0:
        write_film(run)
        finish_output(run, marker=RUN_FILE, document=json.loads((run / RUN_FILE).read_bytes()))
    processes.wait()
    if processes.local_rank == 0:
        drop_faces(run)


def _check_shares(config: TrainConfig, processes: Processes) -> None:
    if config.batch % processes.count:
        raise ArgumentError(
            f"batch {config.batch}: cannot be shared equally among {processes.count} processes; choose a multiple"
        )


def _load(
    folder: FaceFolder, run: Path, config: TrainConfig, processes: Processes, *, partition: str | int | None,
    begun: bool, shown: Progress,
) -> Faces:  # fmt: skip
    """The faces: decoded once on every machine, then opened by all its processes. ``begun``: from a model's weights."""
    rows, _ = select_rows(folder.annotations, partition)
    if processes.local_rank == 0:
        with explained(run):
            run.mkdir(parents=True, exist_ok=True)
        map_faces(folder, run, crop=config.crop, size=config.size, rows=rows, progress=shown)
    processes.wait()
    faces = map_faces(folder, run, crop=config.crop, size=config.size, rows=rows)
    if len(faces.pixels) < config.batch:
        raise RefusedError(
            f"{printable(folder.root)}: {len(faces.pixels)} faces are fewer than one batch of {config.batch}; a GAN "
            "needs thousands, and learns fewer by heart"
        )
    return with_attributes(faces, folder, required=not begun) if config.conditional else faces


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Nobody else trains in this folder; what says so goes with the end, unless that was a kill."""
    with locked(run, "train"):
        try:
            yield
        finally:
            with suppress(OSError):
                (run / LOCK).unlink()


def _withdraw(run: Path, *, existed: bool) -> None:
    if existed:
        remove_output(run / RUN_FILE)
        drop_faces(run)
    else:
        remove_output(run)


def _log(run: Path, session: Session, processes: Processes, *, tensorboard: bool) -> Any:
    return RunLog(run, session.images, tensorboard=tensorboard) if processes.rank == 0 else nullcontext()

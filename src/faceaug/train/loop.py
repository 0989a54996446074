"""The training loop.

Every step draws its numbers from (seed, step), and a checkpoint holds the whole state. Under the same ``conditions``, a
run that was stopped and resumed therefore equals an uninterrupted run to the bit.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import torch

from faceaug.data.annotations import select_rows
from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError, Interrupted, RefusedError, counted, printable
from faceaug.progress import SILENT, Progress, Show, open_progress
from faceaug.storage.files import explained, finish_output, remove_output
from faceaug.train.attributes import with_attributes
from faceaug.train.backbones import require_backbone
from faceaug.train.conditions import begin_session, conditions
from faceaug.train.config import DEFAULT_PRESET, PRESETS, TrainConfig
from faceaug.train.faces import Faces, drop_faces, map_faces
from faceaug.train.keeper import Keeper, restore_newest
from faceaug.train.monitor import Monitor
from faceaug.train.processes import Processes, join_processes
from faceaug.train.record import RUN_FILE, RunLog, lock_run, open_run
from faceaug.train.reports import TrainReport
from faceaug.train.samples import write_film
from faceaug.train.session import Session
from faceaug.train.signals import Signals
from faceaug.train.start import Start, load_start


def train_gan(
    folder: FaceFolder | Path | str,
    out: Path | str,
    config: TrainConfig = PRESETS[DEFAULT_PRESET],
    *,
    resume: bool = False,
    init: str | Path | None = None,
    minutes: float | None = None,
    began: float | None = None,
    partition: str | int | None = None,
    device: str | torch.device | None = None,
    tensorboard: bool = False,
    progress: Show = None,
) -> TrainReport:
    """Train a GAN on a folder of faces. Started by torchrun, several processes train it together.

    Args:
        folder: real faces. Only rows of the partition are used.
        out: run folder: config.json, checkpoint-*/, samples/, log.jsonl, model/. It must be new, or hold an unfinished
            run with the same arguments, which is continued.
        config: see ``TrainConfig`` and ``faceaug.train.PRESETS``.
        resume: require a run in ``out`` and continue it from its newest checkpoint. The config must be the one that the
            run began with, except for ``images``: a finished run can be made longer.
        init: model whose generator the run starts from. A run folder also provides its discriminators, if their layers
            fit this config, and the moments of its optimizers, if they are of the same kind.
        minutes: time limit. Training stops early enough to save within it, finished or not.
        began: ``time.monotonic()`` from which ``minutes`` counts; None for now.
        partition: "train", "val", "test" or "all"; None for the train rows if a table has any, otherwise all rows.
        device: where to compute; None for the GPU if there is one, otherwise the CPU. Only a CPU repeats to the bit,
            see ``faceaug.train.conditions``.
        tensorboard: also write ``out``/tensorboard; needs the extra of that name.
        progress: None shows progress on a terminal and in a notebook, True everywhere, False nowhere. A function is
            called with (phase, done, total, words) after every step; while training, ``words`` are the newest losses.
            See ``faceaug.progress.open_progress``. With several processes, the first one shows it.

    Returns:
        The report of this session.

    Raises:
        ArgumentError: the config needs a package that is not installed.
        RefusedError: there are no readable faces, ``out`` holds something else or is in use by another process, or the
            faces are not those that the run began with.
        Interrupted: SIGINT or SIGTERM arrived; everything was saved first.
        FaceAugError: training diverged repeatedly; the last checkpoint is kept.

    Example:
        >>> from faceaug import TrainConfig, train_gan
        >>> config = TrainConfig(images=128, batch=32, g_conv_dim=4, d_conv_dim=4)
        >>> train_gan("celeba", "run", config).finished  # doctest: +SKIP
        True
    """
    began = time.monotonic() if began is None else began
    deadline = math.inf if minutes is None else began + 60 * minutes
    if config.projected:
        require_backbone(config.projected_on)
    folder = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    run = Path(out)
    start = None if init is None else load_start(init, config)
    with join_processes(device) as processes, ExitStack() as lock:
        _check_shares(config, processes)
        shown = SILENT if processes.rank else open_progress(progress)
        existed = run.exists()
        continues = processes.rank == 0 and open_run(run, folder, config, resume=resume, init=init)
        if processes.rank == 0:
            lock.enter_context(lock_run(run))
        try:
            faces = _load(folder, run, config, processes, partition=partition, begun=init is not None, shown=shown)
        except RefusedError:
            if not continues:  # a new run leaves nothing behind
                lock.close()
                _withdraw(run, existed=existed)
            raise
        session, monitor = _prepare(run, config, faces, processes, start=start, shown=shown)
        before = session.images
        with Signals() as signals, explained(run), _log(run, session, processes, tensorboard=tensorboard) as log:
            notes = folder.notes + _begin(run, session, processes)
            keeper = Keeper(run, session, processes, log, monitor)
            _train(keeper, signals, deadline, shown)
            _save(keeper, shown, hurry=bool(signals.received))
    if signals.received:
        done = f"{session.images:,} of {config.images:,} images"
        raise Interrupted(f"stopped by {signals.received} at {done}; everything is saved, --resume continues")
    return TrainReport(
        run,
        run / "model",
        session.images,
        finished=session.images >= config.images,
        faces=len(faces.pixels),
        unreadable=faces.unreadable,
        seconds=time.monotonic() - began,
        added=max(session.images - before, 0),
        minutes=minutes,
        notes=(*session.health.get("notes", ()), *notes),
        health=session.health.get("state"),
        alarms=tuple(session.health.get("alarms", ())),
    )


def _begin(run: Path, session: Session, processes: Processes) -> tuple[str, ...]:
    """Record the conditions of a session; what differs from those of the session before, a line each."""
    if processes.rank:
        return ()
    return begin_session(run, session.images, conditions(processes.device, processes.count))


def _prepare(
    run: Path, config: TrainConfig, faces: Faces, processes: Processes, *, start: Start | None, shown: Progress
) -> tuple[Session, Monitor | None]:
    """Build the session, continue it from the newest checkpoint, and measure the real faces."""
    with shown.phase("preparing", 3, "parts", at_once=True) as phase:
        session = Session(config, faces, processes, start=start)
        phase.advance()
        restore_newest(run, session, processes)
        phase.advance()
        monitor = None if processes.rank else Monitor(faces.pixels, config.seed)
        phase.advance()
    session.measure(shown)
    return session, monitor


def _train(keeper: Keeper, signals: Signals, deadline: float, shown: Progress) -> None:
    """Take steps until the run is finished, a signal arrives, or just enough time to save is left."""
    session = keeper.session
    processes = keeper.processes
    config = session.config
    began = time.monotonic()
    if began < deadline < math.inf:
        keeper.estimate_saving()
    earliest = began + (deadline - began) / 2  # however long saving takes, half of the time is for training

    def stop_at() -> float:
        """The time at which to begin to save."""
        return max(deadline - keeper.looking - keeper.saving, earliest)

    limit = stop_at() - time.monotonic()
    with shown.phase("training", config.images, "images", start=session.images, limit=limit, at_once=True) as phase:
        while session.images < config.images:
            if processes.any(bool(signals.received) or time.monotonic() >= stop_at()):
                break
            if not session.step() and session.guard.skipped >= config.skips:
                keeper.roll_back()
                continue
            keeper.attend(phase)


def _save(keeper: Keeper, shown: Progress, *, hurry: bool) -> None:
    """Look at the faces, unless in a hurry; write checkpoint, model and samples.

    Of a finished run write also the film, and remove the decoded faces.
    """
    run = keeper.run
    session = keeper.session
    processes = keeper.processes
    with shown.phase("saving", 3, "parts", at_once=True) as phase:
        if not hurry:
            keeper.look()
        keeper.save()
        phase.advance()
        keeper.write_samples()
        phase.advance()
        if session.images >= session.config.images:
            if processes.rank == 0:
                write_film(run)
                document = json.loads((run / RUN_FILE).read_bytes())
                finish_output(run, marker=RUN_FILE, document=document | {"health": session.health})
            processes.wait()
            if processes.local_rank == 0:
                drop_faces(run)
        phase.advance()


def _check_shares(config: TrainConfig, processes: Processes) -> None:
    if config.batch % processes.count:
        raise ArgumentError(
            f"batch {config.batch}: cannot be shared equally among {processes.count} processes; choose a multiple"
        )


def _load(
    folder: FaceFolder,
    run: Path,
    config: TrainConfig,
    processes: Processes,
    *,
    partition: str | int | None,
    begun: bool,
    shown: Progress,
) -> Faces:
    """Decode the faces once on each machine, and open them in every process. ``begun``: the run starts from a model."""
    rows, _ = select_rows(folder.annotations, partition)
    if processes.local_rank == 0:
        with explained(run):
            run.mkdir(parents=True, exist_ok=True)
        map_faces(folder, run, crop=config.crop, size=config.size, rows=rows, progress=shown)
    processes.wait()
    faces = map_faces(folder, run, crop=config.crop, size=config.size, rows=rows)
    if len(faces.pixels) < config.batch:
        raise RefusedError(
            f"{printable(folder.root)}: {_too_few(len(faces.pixels), config.batch, processes.count, begun=begun)}"
        )
    return with_attributes(faces, folder, required=not begun) if config.conditional else faces


def _too_few(faces: int, batch: int, processes: int, *, begun: bool) -> str:
    """Why faces that are fewer than a batch are refused, and which batch they would do for."""
    share = faces // processes
    fitting = processes * 2 ** (share.bit_length() - 1) if share else 0
    words = f"{counted(faces, 'face is', 'faces are')} fewer than one batch of {batch}"
    if fitting < 2:
        return f"{words}, and too few for any: batch norm needs at least 2, and every process one"
    if begun:
        return f"{words}; train in smaller batches with --set batch={fitting} (in Python batch={fitting})"
    return (
        f"{words}; a GAN needs thousands of faces and memorises a few. --init MODEL, such as dcgan-32, starts from one "
        f"that knows faces; it takes these with --set batch={fitting} (in Python batch={fitting})"
    )


def _withdraw(run: Path, *, existed: bool) -> None:
    if existed:
        remove_output(run / RUN_FILE)
        drop_faces(run)
    else:
        remove_output(run)


def _log(run: Path, session: Session, processes: Processes, *, tensorboard: bool) -> Any:
    return RunLog(run, session.images, tensorboard=tensorboard) if processes.rank == 0 else nullcontext()

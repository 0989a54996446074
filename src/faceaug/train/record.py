"""The run folder: its config, whether it holds this run, and the log."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError, FaceAugError, RefusedError, printable
from faceaug.storage.durable import whole_lines
from faceaug.storage.files import explained, prepare_output, write_bytes, write_json
from faceaug.storage.locks import LOCK, locked
from faceaug.storage.schema import parse_json
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.weights import find_model, read_config as read_model_config
from faceaug.train.config import DEFAULT_PRESET, TrainConfig, fine_tuning, known_fields, preset

RUN_FILE = "config.json"
LOG_FILE = "log.jsonl"
BOARD = "tensorboard"
SESSIONS = "sessions"  # in RUN_FILE, oldest first; see ``faceaug.train.conditions``


class RunConfig(Protocol):
    """The config of a run, of a generator or a classifier."""

    @property
    def images(self) -> int:
        """Length of the run, in images shown."""

    def to_json(self) -> dict[str, Any]:
        """The fields as a dict of plain values."""


def open_run(run: Path, folder: FaceFolder, config: RunConfig, *, resume: bool, init: str | Path | None) -> bool:
    """Create the run folder, or check that it holds this run.

    Returns:
        Whether there is a run to continue.

    Raises:
        RefusedError: the folder holds another run or something else, or with ``resume`` no run at all.
    """
    identity = config.to_json() | {"init": None if init is None else str(init)}
    if (run / RUN_FILE).is_file():
        _upgrade(run)
    if not resume:
        _refuse_finished(run)
        return prepare_output(run, inside=folder.root, marker=RUN_FILE, identity=identity)
    began_with = read_run(run)
    # A resumed run may have more images, and ``init`` need not be given again.
    free = {"images"} if init is not None else {"images", "init"}
    changed = [key for key in identity if key not in free and began_with.get(key) != identity[key]]
    if changed:
        was = ", ".join(f"{key} was {began_with.get(key)}" for key in changed)
        raise RefusedError(f"{printable(run)}: the run began with another config ({was}); resume with the same")
    with explained(run):
        document = parse_json((run / RUN_FILE).read_bytes())
        write_json(run / RUN_FILE, document | {"run": began_with | {"images": config.images}, "finished": False})
    return True


@contextmanager
def lock_run(run: Path) -> Iterator[None]:
    """Lock the run folder; remove the lock file on normal exit.

    Raises:
        RefusedError: another process trains in this folder.
    """
    with locked(run, "train"):
        try:
            yield
        finally:
            with suppress(OSError):
                (run / LOCK).unlink()


def choose_config(
    name: str | None = None, init: str | Path | None = None, *, resume: Path | None = None, **changes: Any
) -> TrainConfig:
    """Choose a config: a preset by name, otherwise the config of the run to resume or one that fits the model.

    Args:
        name: name of a preset. Without name, ``resume`` and ``init`` it is the default preset.
        init: model to start from.
        resume: run folder to continue.
        **changes: fields with other values.

    Raises:
        ArgumentError: the preset, a field or the model is unknown; the message lists the known ones.
        RefusedError: there is no run in ``resume``.
        WeightsError: the model is damaged.

    Example:
        >>> from faceaug.train import choose_config
        >>> choose_config(init="dcgan-32").size
        32
    """
    if name is None and resume is not None:
        return replace(read_config(resume), **known_fields(changes))
    if name is None and init is not None:
        return fine_tuning(read_model_config(find_model(init)), **changes)
    return preset(name or DEFAULT_PRESET, **changes)


def read_config(run: Path) -> TrainConfig:
    """Read the config that a run began with.

    Raises:
        RefusedError: there is no run, or it was written by a newer faceaug.
        FaceAugError: the file cannot be read.
    """
    fields = {key: value for key, value in read_run(run).items() if key != "init"}
    try:
        return TrainConfig.from_json(fields)
    except ArgumentError as error:
        raise RefusedError(f"{printable(run / RUN_FILE)}: {error}") from error


def began_from(run: Path) -> str | None:
    """Describe the model that a run started from; None if it started from fresh weights.

    The description is the ``lineage`` of the model, or only its name if it no longer exists.
    """
    init = read_run(run).get("init")
    if init is None:
        return None
    try:
        model = read_model_config(find_model(init))
    except FaceAugError:
        return Path(init).name
    return lineage(model)


def shown_before(run: Path) -> int:
    """Images that the model which a run started from had been shown; 0 for fresh weights, or if nothing is known."""
    init = read_run(run).get("init")
    try:
        shown = 0 if init is None else read_model_config(find_model(init)).training.get("images_shown")
    except FaceAugError:
        return 0
    return shown if type(shown) is int else 0


def lineage(model: ModelConfig) -> str:
    """Describe a model by its name, the images it was shown, and the models it was trained from."""
    shown = model.training.get("images_shown")
    before = model.training.get("began_from")
    found = f"{model.name}, {shown} images shown" if shown else model.name
    return f"{found}, which began from {before}" if before else found


def _upgrade(run: Path) -> None:
    """Add the fields that an older release did not write, so that its run can be compared and continued."""
    try:
        document = parse_json((run / RUN_FILE).read_bytes())
        began_with = dict(document["run"])
        full = TrainConfig.from_json({k: v for k, v in began_with.items() if k != "init"}).to_json()
    except (OSError, ValueError, KeyError, TypeError):
        return  # reported when the file is read
    full["init"] = began_with.get("init")
    if full != began_with:
        with explained(run):
            write_json(run / RUN_FILE, document | {"run": full})


def _refuse_finished(run: Path) -> None:
    """Refuse a finished run in words of its own: unlike other outputs, it can be made longer."""
    try:
        document = parse_json((run / RUN_FILE).read_bytes())
    except (OSError, ValueError):
        return  # reported when the file is read
    if isinstance(document, dict) and "run" in document and document.get("finished") is True:
        raise RefusedError(
            f"{printable(run)} holds a finished run: --resume with a larger --images continues it; or choose another "
            "folder"
        )


def read_run(run: Path) -> dict[str, Any]:
    """Read the fields that a run began with, and ``init``, the model it started from.

    Raises:
        RefusedError: there is no run.
        FaceAugError: the file cannot be read.
    """
    path = run / RUN_FILE
    if not path.is_file():
        raise RefusedError(f"{printable(run)}: no run to resume there")
    try:
        found: dict[str, Any] = dict(parse_json(path.read_bytes())["run"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FaceAugError(f"{printable(path)}: not a readable run file ({error}); train into a new folder") from error
    return found


class RunLog:
    """``log.jsonl``: a line of JSON for every reading and event; optionally also a TensorBoard log.

    Args:
        run: the run folder.
        images: images shown so far. Later lines are removed, since they will be written again, and an incomplete line.
        tensorboard: also write RUN/tensorboard.

    Raises:
        ArgumentError: TensorBoard is not installed.
    """

    def __init__(self, run: Path, images: int, *, tensorboard: bool) -> None:
        self._path = run / LOG_FILE
        self._board = _open_board(run / BOARD, images) if tensorboard else None
        self._handle: TextIO | None = None
        self.cut(images)

    def cut(self, images: int) -> None:
        """Remove the lines after a checkpoint."""
        if self._handle is not None:
            self._handle.close()
        kept = [line for reading, line in whole_lines(self._path, _reading) if reading <= images]
        write_bytes(self._path, "".join(f"{line}\n" for line in kept).encode())
        self._handle = self._path.open("a")

    def write(self, images: int, facts: Mapping[str, Any]) -> None:
        """Append one line. Numbers that are not finite become null, since JSON has no NaN."""
        plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in facts.items()}
        if self._handle is None:
            raise FaceAugError(f"{printable(self._path)}: the log is closed")
        self._handle.write(json.dumps({"images": images} | plain) + "\n")
        self._handle.flush()
        if self._board is not None:
            for name, value in plain.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(name, value, images)

    def sync(self) -> None:
        """Wait until the disk has every line, before a checkpoint makes them final."""
        if self._handle is not None:
            os.fsync(self._handle.fileno())

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None
        if self._board is not None:
            self._board.close()


def _reading(line: str) -> tuple[int, str]:
    """The images shown before a line of the log was written, and the line."""
    images = parse_json(line)["images"]
    if type(images) is not int:
        raise TypeError("images: expected a whole number")
    return images, line


def _open_board(folder: Path, images: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ArgumentError("tensorboard is not installed: python -m pip install 'faceaug[tensorboard]'") from error
    return SummaryWriter(str(folder), purge_step=images)

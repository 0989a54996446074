"""The run folder: is it this run, what it has done, and the log."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError, FaceAugError, RefusedError, printable
from faceaug.storage.durable import whole_lines
from faceaug.storage.files import explained, prepare_output, write_bytes, write_json
from faceaug.storage.schema import parse_json
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.weights import find_model, read_config as read_model_config
from faceaug.train.config import DEFAULT_PRESET, TrainConfig, fine_tuning, known_fields, preset

RUN_FILE, LOG_FILE, BOARD = "config.json", "log.jsonl", "tensorboard"


class RunConfig(Protocol):
    """What decides how a run goes, of whatever it trains."""

    @property
    def images(self) -> int:
        """When the run is done."""

    def to_json(self) -> dict[str, Any]:
        """The fields as a dict of plain values."""


def open_run(run: Path, folder: FaceFolder, config: RunConfig, *, resume: bool, init: str | Path | None) -> bool:
    """Make the run folder, or check that the one there is this run.

    Returns:
        Whether there is something to continue.

    Raises:
        RefusedError: there is another run or something else, or with ``resume`` no run at all.
    """
    identity = config.to_json() | {"init": None if init is None else str(init)}
    if (run / RUN_FILE).is_file():
        _upgrade(run)
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


def choose_config(
    name: str | None = None, init: str | Path | None = None, *, resume: Path | None = None, **changes: Any
) -> TrainConfig:
    """The preset of that name. Without a name, what fits: the run to go on with, or the model to start from.

    Args:
        name: of a preset; with neither name, run nor model it is the default preset.
        init: model to start from.
        resume: run folder to go on with.
        **changes: fields that are to be otherwise.

    Raises:
        ArgumentError: unknown preset, field or model; the message lists those there are.
        RefusedError: there is no run.
        WeightsError: the model is damaged.
    """
    if name is None and resume is not None:
        return replace(read_config(resume), **known_fields(changes))
    if name is None and init is not None:
        return fine_tuning(read_model_config(find_model(init)), **changes)
    return preset(name or DEFAULT_PRESET, **changes)


def read_config(run: Path) -> TrainConfig:
    """The config a run folder says it began with.

    Raises:
        RefusedError: it was written by a newer faceaug.
    """
    fields = {key: value for key, value in _began_with(run).items() if key != "init"}
    try:
        return TrainConfig.from_json(fields)
    except ArgumentError as error:
        raise RefusedError(f"{printable(run / RUN_FILE)}: {error}") from error


def began_from(run: Path) -> str | None:
    """The model a run began from, what that had been shown, and what it began from itself; None if from fresh weights.

    Only its name, if it is no longer there.
    """
    init = _began_with(run).get("init")
    if init is None:
        return None
    try:
        model = read_model_config(find_model(init))
    except FaceAugError:
        return Path(init).name
    return lineage(model)


def lineage(model: ModelConfig) -> str:
    """A model's name, what it had been shown, and the models it began from."""
    shown, before = model.training.get("images_shown"), model.training.get("began_from")
    found = f"{model.name}, {shown} images shown" if shown else model.name
    return f"{found}, which began from {before}" if before else found


def _upgrade(run: Path) -> None:
    """Say in the file of an older release what that release did, so that its run can be compared and go on."""
    try:
        document = parse_json((run / RUN_FILE).read_bytes())
        began_with = dict(document["run"])
        full = TrainConfig.from_json({k: v for k, v in began_with.items() if k != "init"}).to_json()
    except (OSError, ValueError, KeyError, TypeError):
        return  # what is wrong with it is said where it is read
    full["init"] = began_with.get("init")
    if full != began_with:
        with explained(run):
            write_json(run / RUN_FILE, document | {"run": full})


def _began_with(run: Path) -> dict[str, Any]:
    path = run / RUN_FILE
    if not path.is_file():
        raise RefusedError(f"{printable(run)}: no run to resume there")
    try:
        found: dict[str, Any] = dict(parse_json(path.read_bytes())["run"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FaceAugError(f"{printable(path)}: not a readable run file ({error}); train into a new folder") from error
    return found


class RunLog:
    """``log.jsonl``: a line of JSON for every reading and every event; also TensorBoard's form, if wanted.

    Args:
        run: the run folder.
        images: where the run stands: later lines, which are about to be written again, are dropped, and a torn one.
        tensorboard: also write RUN/tensorboard.

    Raises:
        ArgumentError: TensorBoard is wanted and not installed.
    """

    def __init__(self, run: Path, images: int, *, tensorboard: bool) -> None:
        self._path = run / LOG_FILE
        self._board = _open_board(run / BOARD, images) if tensorboard else None
        self._handle: TextIO | None = None
        self.cut(images)

    def cut(self, images: int) -> None:
        """Keep the lines up to a checkpoint."""
        if self._handle is not None:
            self._handle.close()
        lines = whole_lines(self._path, _is_reading)
        kept = [line for line in lines if parse_json(line)["images"] <= images]
        write_bytes(self._path, "".join(f"{line}\n" for line in kept).encode())
        self._handle = self._path.open("a")

    def write(self, images: int, facts: Mapping[str, Any]) -> None:
        """Append one line; numbers that are not finite become null, which JSON has."""
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


def _is_reading(line: str) -> bool:
    try:
        return type(parse_json(line)["images"]) is int
    except (ValueError, TypeError, KeyError):
        return False


def _open_board(folder: Path, images: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ArgumentError("tensorboard is not installed: python -m pip install 'faceaug[tensorboard]'") from error
    return SummaryWriter(str(folder), purge_step=images)

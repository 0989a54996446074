"""A classifier's training between two of its steps: config, labelled faces, one step, and the held-back faces."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceaug.data.crop import CROPS, Crop
from faceaug.data.folder import FaceFolder
from faceaug.draws import check_seed, permutation, stream
from faceaug.errors import ArgumentError, RefusedError
from faceaug.progress import SILENT, Progress
from faceaug.synthesize.attribute_network import FEATURES, SIDE, build_attribute_network
from faceaug.synthesize.classifier import as_input
from faceaug.train.arithmetic import resolve_precision
from faceaug.train.calibrate import area_under_curve
from faceaug.train.checkpoint import Checkpoint, optimizer_tensors, part, restore_optimizer
from faceaug.train.faces import ShowingOrder, fingerprint, load_faces
from faceaug.train.settings import (
    PRECISIONS,
    Precision,
    at_least,
    check_fields,
    half_open_share,
    one_of,
    open_share,
)
from faceaug.train.views import apply_views, draw_views

FEWEST = 20  # faces with and without an attribute; with fewer, the attribute is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierTraining:
    """Everything that decides how the training of a classifier goes. Lengths are in faces shown.

    Raises:
        ArgumentError: a value is outside its range; the message says what was expected.

    Example:
        >>> from faceaug.train.classifier_session import ClassifierTraining
        >>> ClassifierTraining(images=100_000).batch
        128
    """

    crop: Crop = one_of(CROPS, "center178")
    images: int = at_least(1, 400_000)
    batch: int = 128
    learning_rate: float = open_share(2e-3)  # maximum; a linear rise, then a cosine decay to zero
    warmup: float = open_share(0.08)  # share of the run in which the rate rises
    weight_decay: float = half_open_share(0.03)  # Loshchilov and Hutter 2019
    dropout: float = half_open_share(0.2)  # of the features
    smoothing: float = half_open_share(0.02)  # label smoothing; Szegedy et al. 2016
    held_back: float = open_share(0.08)  # share of the faces for early stopping and thresholds
    precision: Precision = one_of(PRECISIONS, "auto")
    seed: int = 0
    checkpoint_every: int = at_least(1, 25_000)
    log_every: int = at_least(1, 5_000)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_fields(self)
        if self.batch < 2:
            raise ArgumentError(f"batch {self.batch}: batch norm needs at least 2")

    def to_json(self) -> dict[str, Any]:
        """The fields as a dict of plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Faces with attributes.

    Attributes:
        pixels: uint8 (n, 3, 64, 64).
        labels: int8 (n, a), -1 no, 1 yes, 0 unknown.
        identity: int64 (n,), -1 unknown.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int8]
    identity: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def part(self, rows: NDArray[np.int64]) -> Labelled:
        """Select faces, in this order."""
        return Labelled(self.pixels[rows], self.labels[rows], self.identity[rows])


def load_labelled(
    folder: FaceFolder,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    *,
    crop: Crop,
    progress: Progress = SILENT,
) -> tuple[Labelled, list[str]]:
    """Load faces of a folder with some columns of their attributes, and a line for each unreadable picture."""
    pixels, used, problems = load_faces(folder, crop=crop, size=SIDE, rows=rows, progress=progress)
    known = folder.annotations
    return Labelled(pixels, known.attributes[np.ix_(used, columns)], known.identity[used]), problems


def learnable(labels: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return the columns with enough faces with and without the attribute: int64."""
    return np.flatnonzero(np.minimum((labels > 0).sum(axis=0), (labels < 0).sum(axis=0)) >= FEWEST)


def hold_back(identity: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Choose about this share of the faces to hold back, all faces of a person or none: bool (n,).

    Args:
        identity: int64 (n,); each face with -1, unknown, counts as a person of its own.
        share: between 0 and 1.
        seed: decides which people are chosen.
    """
    people = np.where(identity < 0, identity.max(initial=0) + 1 + np.arange(len(identity)), identity)
    _, person = np.unique(people, return_inverse=True)
    place = np.empty(person.max(initial=-1) + 1, np.int64)
    place[permutation(len(place), seed, slot="classifier/held")] = np.arange(len(place))
    sizes = np.bincount(place[person], minlength=len(place))
    chosen = np.cumsum(sizes) <= max(round(share * len(identity)), 1)
    chosen[0] = True
    held: NDArray[np.bool_] = chosen[place[person]]
    return held


class ClassifierSession:
    """The training of a classifier between two of its steps.

    Args:
        config: of the run.
        shown: faces to train on.
        held: faces held back.
        device: where to compute.
    """

    def __init__(self, config: ClassifierTraining, shown: Labelled, held: Labelled, device: torch.device) -> None:
        self.config = config
        self.shown = shown
        self.held = held
        self.device = device
        self.precision = resolve_precision(config.precision, device)
        self.order = ShowingOrder(len(shown), config.seed)
        self.network = build_attribute_network(shown.labels.shape[1], seed=config.seed)
        self._begin_with_odds()
        self.network.to(device).to(memory_format=torch.channels_last)
        self.optimizer = self._optimizer()
        self.best, self.best_area = copy.deepcopy(self.network), 0.0
        self.steps = self.images = 0
        self.loss = math.nan

    def _begin_with_odds(self) -> None:
        """Initialise the biases with the log-odds of each attribute, which then need not be learnt."""
        yes, no = (self.shown.labels > 0).sum(axis=0), (self.shown.labels < 0).sum(axis=0)
        with torch.no_grad():
            self.network.fc.bias.copy_(torch.from_numpy(np.log((yes + 1) / (no + 1)).astype("f4")))

    def step(self) -> None:
        """Train on one batch."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        faces, labels = self._batch()
        draws = stream(config.seed, index=self.steps, slot="classifier/dropout")
        kept = (draws.random((config.batch, FEATURES), "f4") >= config.dropout) / np.float32(1 - config.dropout)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.network(faces, torch.from_numpy(kept).to(self.device))
        known = labels != 0
        wanted = 0.5 + labels * (0.5 - config.smoothing)
        errors = F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")
        loss = (errors * known).sum() / known.sum().clamp_min(1)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.steps += 1
        self.images += config.batch
        self.loss = float(loss.detach())

    def look(self) -> float:
        """Evaluate on the held-back faces: mean area under the ROC curve. The best weights are kept."""
        scores = self.scores(self.held.pixels)
        areas = [area_under_curve(s, y) for s, y in zip(scores.T, self.held.labels.T, strict=True)]
        area = float(np.nanmean(areas)) if not np.isnan(areas).all() else 0.0
        if area >= self.best_area:
            self.best, self.best_area = copy.deepcopy(self.network), area
        return area

    @torch.inference_mode()
    def scores(self, pixels: NDArray[np.uint8], *, best: bool = False) -> NDArray[np.float32]:
        """Logits of faces by the current weights, or by the best ones: float32 (n, a)."""
        network = (self.best if best else self.network).eval()
        found = []
        for start in range(0, len(pixels), 256):
            faces = as_input(torch.from_numpy(np.ascontiguousarray(pixels[start : start + 256])).to(self.device))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                logits = network(faces.contiguous(memory_format=torch.channels_last))
            found.append(logits.float().cpu().numpy())
        self.network.train()
        return np.concatenate(found)

    def _rate(self) -> float:
        done = self.images / self.config.images
        rising = done / self.config.warmup
        falling = (1 + math.cos(math.pi * min((done - self.config.warmup) / (1 - self.config.warmup), 1))) / 2
        return self.config.learning_rate * max(min(rising, 1.0) if rising < 1 else falling, 1e-4)

    def _batch(self) -> tuple[Tensor, Tensor]:
        rows = self.order(self.images, self.config.batch)
        views = draw_views(stream(self.config.seed, index=self.steps, slot="classifier/views"), len(rows))
        faces = as_input(torch.from_numpy(self.shown.pixels[rows]).to(self.device))
        labels = torch.from_numpy(self.shown.labels[rows]).to(self.device).float()
        return apply_views(faces, views).contiguous(memory_format=torch.channels_last), labels

    def _optimizer(self) -> torch.optim.Optimizer:
        # No weight decay for norms and biases: they only set scales and offsets, and cannot memorise faces.
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim == 1]
        groups = [{"params": matrices, "weight_decay": self.config.weight_decay}, {"params": others, "weight_decay": 0}]
        return torch.optim.AdamW(groups, lr=self.config.learning_rate, betas=(0.9, 0.99), fused=True)

    def checkpoint(self) -> Checkpoint:
        """Everything the next step depends on."""
        tensors: dict[str, Tensor] = {}
        for name, network in (("network", self.network), ("best", self.best)):
            tensors |= {f"{name}/{key}": value for key, value in network.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer, "optimizer")
        numbers = {"best_area": self.best_area}
        return Checkpoint(self.steps, self.images, self._fingerprint(), tensors, numbers)

    def restore(self, saved: Checkpoint) -> None:
        """Continue from a checkpoint.

        Raises:
            RefusedError: the checkpoint was made with other faces.
        """
        if saved.faces != self._fingerprint():
            raise RefusedError("the faces are not those the run began with; give the same folder, unchanged")
        self.network.load_state_dict(part(saved.tensors, "network"))
        self.best.load_state_dict(part(saved.tensors, "best"))
        restore_optimizer(self.optimizer, saved.tensors, "optimizer")
        self.steps = saved.step
        self.images = saved.images
        self.best_area = saved.numbers["best_area"]

    def _fingerprint(self) -> str:
        return f"{fingerprint(self.shown.pixels)} {fingerprint(self.shown.labels.view(np.uint8))}"

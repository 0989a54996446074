"""What the networks are told of the faces: the rows of an attribute table, more or less of each.

A generator is asked for combinations that real faces have, and often for less than all of them, down to nothing: so one
model is conditional, partly conditional and unconditional.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceaug.draws import stream
from faceaug.errors import RefusedError, printable
from faceaug.folder import FaceFolder
from faceaug.train.config import TrainConfig
from faceaug.train.faces import Faces

Attributes: TypeAlias = NDArray[np.int8]  # (n, 40): -1 no, 1 yes, 0 unknown or not asked for
_KEPT = 4096  # rows that go with a checkpoint: what is typical, not the table
_HEAVIEST = 4.0  # a rare answer counts so often, and no more: its few examples are not the whole lesson


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """What a batch of faces is asked to have.

    Attributes:
        asked: int8 (n, 40), what the generator is told and should be seen to obey.
        judged: int8 (n, 40), what the discriminator is told; less, where the request is one that no real face makes.
    """

    asked: Attributes
    judged: Attributes


def with_attributes(faces: Faces, folder: FaceFolder, *, required: bool = True) -> Faces:
    """The faces with their attributes, and both in the fingerprint.

    Args:
        faces: of the folder.
        folder: whose tables are looked at.
        required: whether something must be known; a model that has learnt attributes can do without.

    Raises:
        RefusedError: the folder's tables say nothing of attributes.
    """
    rows = np.ascontiguousarray(folder.annotations.attributes[faces.rows])
    if required and not rows.any():
        raise RefusedError(
            f"{printable(folder.root)}: no attribute of any face is known; a model that obeys attributes learns them "
            "from list_attr_celeba.txt or from columns in metadata.csv; choose a preset without attributes otherwise"
        )
    digest = hashlib.sha256(faces.fingerprint.encode() + rows.tobytes()).hexdigest()
    return replace(faces, attributes=rows, fingerprint=digest)


def drop_some(rows: Attributes, config: TrainConfig, rng: np.random.Generator) -> Attributes:
    """Rows with attributes left out: all of them, none, or each with a probability of the row's own."""
    kind, share = rng.random((len(rows), 1)), rng.random((len(rows), 1))
    share = np.where(kind < config.drop_all, 1.0, np.where(kind < config.drop_all + config.drop_some, share, 0.0))
    return np.where(rng.random(rows.shape) < share, 0, rows).astype(np.int8)


def draw_requests(table: Attributes, config: TrainConfig, step: int) -> Requests:
    """What the faces of the generator's step are asked to have: rows of real faces, of some of them one toggled.

    A toggled attribute makes a face that the table may not have, such as a bald woman. The discriminator is not told
    of it, or it would learn that asking so gives a generated face away.
    """
    rng = stream(config.seed, index=step, slot="train/attributes/generator")
    rows = drop_some(table[rng.integers(len(table), size=config.batch)], config, rng)
    both = np.flatnonzero(
        (table == 1).any(axis=0) & (table == -1).any(axis=0)
    )  # else nobody can tell with from without
    toggled = np.flatnonzero(rng.random(config.batch) < config.toggle * bool(len(both)))
    column = rng.choice(both, size=config.batch)[toggled] if len(both) else toggled
    value = np.where(rows[toggled, column] == 0, rng.integers(2, size=len(toggled)) * 2 - 1, -rows[toggled, column])
    asked, judged = rows.copy(), rows
    asked[toggled, column], judged[toggled, column] = value, 0
    return Requests(asked, judged)


def typical_rows(table: Attributes, seed: int) -> Attributes:
    """At most 4,096 rows of a table, drawn once for a run."""
    chosen = stream(seed, slot="train/attributes/typical").integers(len(table), size=min(len(table), _KEPT))
    return np.ascontiguousarray(table[chosen])


def sample_rows(rows: Attributes, n: int, seed: int) -> Tensor:
    """The attributes of a run's fixed latents: float32 (n, 40), whole rows of real faces."""
    chosen = stream(seed, slot="train/samples/attributes").integers(len(rows), size=n)
    return torch.from_numpy(rows[chosen].astype(np.float32))


def answer_weights(table: Attributes) -> Tensor:
    """How much an answer counts, float32 (2, 40), no and yes: rare answers more, as the root of their rarity."""
    yes, no = ((table == value).sum(axis=0).astype(np.float64) for value in (1, -1))
    shares = np.stack([no, yes]) / np.maximum(yes + no, 1)
    return torch.from_numpy(np.minimum((0.5 / np.maximum(shares, 1e-9)) ** 0.5, _HEAVIEST).astype(np.float32))


def attribute_loss(logits: Tensor, wanted: Tensor, weights: Tensor, counts: Tensor | None = None) -> Tensor:
    """Weighted cross entropy of the attributes that are known or asked for: a scalar, float32.

    Args:
        logits: (n, 40), high = yes.
        wanted: (n, 40), -1, 0 or 1; where it is 0 nothing counts.
        weights: from ``answer_weights``.
        counts: (n, 40), how often each counts beside that; None is once.
    """
    counted = torch.where(wanted > 0, weights[1], weights[0]) * wanted.abs()
    if counts is not None:
        counted = counted * counts
    losses: Tensor = F.softplus(-wanted * logits.float())
    return (losses * counted).sum() / wanted.numel()

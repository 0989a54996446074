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
from faceaug.data.folder import FaceFolder
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
        judged: int8 (n, 40), what the discriminator is told: the same, or nothing where one attribute is toggled.
        toggled: bool (n, 40), the attributes that are not those of the real row.
    """

    asked: Attributes
    judged: Attributes
    toggled: NDArray[np.bool_]


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


def toggleable(table: Attributes) -> NDArray[np.int64]:
    """The columns that some face has and another has not: of the rest nobody can tell with from without."""
    return np.flatnonzero((table == 1).any(axis=0) & (table == -1).any(axis=0))


def draw_rows(table: Attributes, config: TrainConfig, step: int) -> Attributes:
    """The rows that the generator's requests of a step are made from, int8 (batch, 40)."""
    rng = stream(config.seed, index=step, slot="train/attributes/rows")
    return table[rng.integers(len(table), size=config.batch)]


def draw_requests(
    rows: Attributes, config: TrainConfig, rng: np.random.Generator, *, columns: NDArray[np.int64]
) -> Requests:
    """What faces are asked to have: rows of real faces, less of some, and of some of them one attribute toggled.

    A toggled attribute makes a face that no table may have, such as a bald woman: told of it, or of the 39 others that
    speak against it, the discriminator would find the face false whatever it looks like. So it judges such faces as
    faces alone, beside as many real ones of which it is told nothing either.

    Args:
        rows: int8 (n, 40).
        config: the shares.
        rng: draws.
        columns: which may be toggled.
    """
    asked = drop_some(rows, config, rng)
    chosen = np.flatnonzero(rng.random(len(rows)) < config.toggle * bool(len(columns)))
    column = rng.choice(columns, size=len(chosen)) if len(chosen) else chosen
    value = np.where(asked[chosen, column] == 0, rng.integers(2, size=len(chosen)) * 2 - 1, -asked[chosen, column])
    judged, toggled = asked.copy(), np.zeros(rows.shape, np.bool_)
    asked[chosen, column], judged[chosen], toggled[chosen, column] = value, 0, True
    return Requests(asked, judged, toggled)


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


def attribute_loss(logits: Tensor, wanted: Tensor, weights: Tensor, instead: Tensor | None = None) -> Tensor:
    """Weighted cross entropy of the attributes that are known or asked for: a scalar, float32.

    Args:
        logits: (n, 40), high = yes.
        wanted: (n, 40), -1, 0 or 1; where it is 0 nothing counts.
        weights: from ``answer_weights``.
        instead: (n, 40), weights that hold instead where they are not 0.
    """
    counted = torch.where(wanted > 0, weights[1], weights[0]) * wanted.abs()
    if instead is not None:
        counted = torch.where(instead != 0, instead, counted)
    losses: Tensor = F.softplus(-wanted * logits.float())
    return (losses * counted).sum() / wanted.numel()

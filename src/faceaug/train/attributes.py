"""What a conditional run learns from an attribute table: requests for the generator, and losses.

Requests are rows of real faces, because combinations drawn attribute by attribute may not exist. Part of them leave
attributes out, some or all, so that one model is conditional, partly conditional and unconditional.
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

from faceaug.data.annotations import settle
from faceaug.data.folder import FaceFolder
from faceaug.draws import stream
from faceaug.errors import RefusedError, printable
from faceaug.train.config import TrainConfig
from faceaug.train.faces import Faces
from faceaug.train.processes import Processes
from faceaug.train.settings import AttributeSettings

Attributes: TypeAlias = NDArray[np.int8]  # (n, 40): -1 no, 1 yes, 0 unknown or not requested
_KEPT = 4096  # rows in a checkpoint: a sample of the table, not the table
_HEAVIEST = 4.0  # upper limit of a rare answer's weight, so that its few examples do not dominate


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """The attributes requested for a batch of faces.

    Attributes:
        asked: int8 (n, 40), the generator's input, and the target of the attribute losses.
        judged: int8 (n, 40), the discriminator's input: the same, or zeros where an attribute is flipped.
        toggled: bool (n, 40), the flipped attributes, which differ from the real row.
    """

    asked: Attributes
    judged: Attributes
    toggled: NDArray[np.bool_]


def with_attributes(faces: Faces, folder: FaceFolder, *, required: bool = True) -> Faces:
    """Return the faces with their attributes, both in the fingerprint.

    Args:
        faces: of the folder.
        folder: provides the attribute table.
        required: whether an attribute must be known; a model that has learnt attributes already does not need one.

    Raises:
        RefusedError: no attribute of any face is known.
    """
    settle(folder.annotations, ("attributes",))
    rows = np.ascontiguousarray(folder.annotations.attributes[faces.rows])
    if required and not rows.any():
        raise RefusedError(
            f"{printable(folder.root)}: no attribute of any face is known; a conditional model learns attributes "
            "from list_attr_celeba.txt or from columns of metadata.csv; add one of them, or choose an unconditional "
            "preset such as dcgan-64"
        )
    digest = hashlib.sha256(faces.fingerprint.encode() + rows.tobytes()).hexdigest()
    return replace(faces, attributes=rows, fingerprint=digest)


def drop_some(rows: Attributes, config: AttributeSettings, rng: np.random.Generator) -> Attributes:
    """Leave attributes out: all of a row, none, or each with a probability drawn for the row."""
    kind = rng.random((len(rows), 1))
    share = rng.random((len(rows), 1))
    share = np.where(kind < config.drop_all, 1.0, np.where(kind < config.drop_all + config.drop_some, share, 0.0))
    return np.where(rng.random(rows.shape) < share, 0, rows).astype(np.int8)


def toggleable(table: Attributes) -> NDArray[np.int64]:
    """Return the columns with both values: an attribute that all faces have, or none, cannot be learnt."""
    return np.flatnonzero((table == 1).any(axis=0) & (table == -1).any(axis=0))


def draw_rows(table: Attributes, config: TrainConfig, step: int) -> Attributes:
    """Draw the rows that the generator's requests of a step are made from, int8 (batch, 40)."""
    rng = stream(config.seed, index=step, slot="train/attributes/rows")
    return table[rng.integers(len(table), size=config.batch)]


def draw_requests(
    rows: Attributes, config: AttributeSettings, rng: np.random.Generator, *, columns: NDArray[np.int64]
) -> Requests:
    """Make requests from rows of real faces: attributes are left out, and in some rows one is flipped.

    A flipped attribute can ask for a combination that no real face has, such as a bald woman. A discriminator that knew
    the request would call every such face generated. It therefore judges these faces without attributes, along with
    equally many real faces whose attributes are hidden as well.

    Args:
        rows: int8 (n, 40).
        config: shares of the requests that are changed.
        rng: source of the draws.
        columns: attributes that may be flipped.
    """
    asked = drop_some(rows, config, rng)
    chosen = np.flatnonzero(rng.random(len(rows)) < config.toggle * bool(len(columns)))
    column = rng.choice(columns, size=len(chosen)) if len(chosen) else chosen
    value = np.where(asked[chosen, column] == 0, rng.integers(2, size=len(chosen)) * 2 - 1, -asked[chosen, column])
    judged = asked.copy()
    judged[chosen] = 0
    asked[chosen, column] = value
    toggled = np.zeros(rows.shape, np.bool_)
    toggled[chosen, column] = True
    return Requests(asked, judged, toggled)


def typical_rows(table: Attributes, seed: int) -> Attributes:
    """Draw at most 4,096 rows of a table, the same for the whole run."""
    chosen = stream(seed, slot="train/attributes/typical").integers(len(table), size=min(len(table), _KEPT))
    return np.ascontiguousarray(table[chosen])


def sample_rows(rows: Attributes, n: int, seed: int) -> Tensor:
    """Draw attributes for the fixed latents of a run: float32 (n, 40), whole rows of real faces."""
    chosen = stream(seed, slot="train/samples/attributes").integers(len(rows), size=n)
    return torch.from_numpy(rows[chosen].astype(np.float32))


def answer_weights(table: Attributes) -> Tensor:
    """Class weights of each attribute, float32 (2, 40), for no and yes: inverse square root of twice the frequency."""
    yes, no = ((table == value).sum(axis=0).astype(np.float64) for value in (1, -1))
    shares = np.stack([no, yes]) / np.maximum(yes + no, 1)
    return torch.from_numpy(np.minimum((0.5 / np.maximum(shares, 1e-9)) ** 0.5, _HEAVIEST).astype(np.float32))


def attribute_loss(logits: Tensor, wanted: Tensor, weights: Tensor, instead: Tensor | None = None) -> Tensor:
    """Weighted cross entropy of known or requested attributes: a scalar, float32.

    Args:
        logits: (n, 40), high = yes.
        wanted: (n, 40), -1, 0 or 1; attributes with 0 are ignored.
        weights: from ``answer_weights``.
        instead: (n, 40), replaces ``weights`` where it is not 0.
    """
    counted = torch.where(wanted > 0, weights[1], weights[0]) * wanted.abs()
    if instead is not None:
        counted = torch.where(instead != 0, instead, counted)
    losses: Tensor = F.softplus(-wanted * logits.float())
    return (losses * counted).sum() / wanted.numel()


@torch.no_grad()
def agreement(logits: Tensor, wanted: Tensor, processes: Processes) -> float:
    """Share of the known or requested attributes that logits get right, over all processes; NaN without any.

    Args:
        logits: (n, 40), high = yes.
        wanted: (n, 40), -1, 0 or 1; attributes with 0 are ignored.
        processes: all processes of the run.
    """
    right = ((logits * wanted) > 0).sum() / (wanted != 0).sum()
    return float(processes.mean(right))

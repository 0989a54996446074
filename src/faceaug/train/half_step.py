"""What both halves of a training step work with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from faceaug.train.config import TrainConfig
from faceaug.train.networks import Networks
from faceaug.train.processes import Processes
from faceaug.train.readings import Readings


@dataclass(frozen=True, slots=True, eq=False)
class HalfStep:
    """One half of a step: an update of the discriminators, or of the generator.

    Attributes:
        config: of the run.
        networks: of the run.
        processes: all processes of the run.
        weights: from ``answer_weights``; None without attributes.
        readings: where the figures of the step go.
    """

    config: TrainConfig
    networks: Networks
    processes: Processes
    weights: Tensor | None
    readings: Readings

"""What a step reports, and what has gone wrong so far."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Guard:
    """The state of the protection against divergence.

    Attributes:
        skipped: consecutive steps that were skipped because a number was not finite.
        rollbacks: returns to a checkpoint so far; each halves the learning rates.
    """

    skipped: int = 0
    rollbacks: int = 0


@dataclass(slots=True)
class Readings:
    """Figures of the last step.

    Attributes:
        d_loss: loss of the discriminator, without penalties.
        g_loss: loss of the generator.
        real_logit: mean logit of the real faces.
        fake_logit: mean logit of the generated faces.
        penalty: sum of the last R1 and R2 penalties, weighted.
        named: share of the known attributes of real faces that the discriminator gets right; NaN without attributes.
        obeyed: share of the requested attributes that it finds in the generated faces.
        toggled: share of the flipped attributes that it finds in the generated faces.
        mismatch: squared difference of the feature moments; NaN without feature matching.
        projected_loss: loss of the projected discriminator, 2 at chance; NaN without one.
    """

    d_loss: float = math.nan
    g_loss: float = math.nan
    real_logit: float = math.nan
    fake_logit: float = math.nan
    penalty: float = 0.0
    named: float = math.nan
    obeyed: float = math.nan
    toggled: float = math.nan
    mismatch: float = math.nan
    projected_loss: float = math.nan

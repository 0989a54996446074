"""A second opinion on whether generated faces show what was asked for.

The discriminator's head learns along, from few faces at first, and a generator finds what pleases that one network: of
what it saw in faces made for it, an independent judge saw a tenth less. The bundled classifier does not change, knows
more faces, and what fools one of the two seldom fools the other.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from faceaug.data.annotations import ATTRIBUTES
from faceaug.draws import stream
from faceaug.errors import FaceAugError
from faceaug.synthesize.classifier import as_wide, load_classifier
from faceaug.train.augment import apply_operations, draw_operations
from faceaug.train.config import TrainConfig
from faceaug.train.processes import Processes
from faceaug.train.views import coarse

# Pixels a face is reduced to before it is enlarged again, equally often; 0 leaves it. The classifier was taught so too.
_SIDES = (0, 48, 32, 32)


class Teacher:
    """Names the attributes of generated faces, with gradients.

    Args:
        config: of the run.
        processes: who takes part.
    """

    def __init__(self, config: TrainConfig, processes: Processes) -> None:
        classifier = load_classifier(device=processes.device)
        if classifier.attributes != ATTRIBUTES:
            raise FaceAugError(f"{classifier.config.name}: knows other attributes than CelebA's; reinstall faceaug")
        self._network = classifier.network.requires_grad_(False)
        self._config, self._processes = config, processes

    def names(self, faces: Tensor, step: int) -> Tensor:
        """Float (n, 3, H, W) in -1..1, this process's faces of a step -> logits (n, 40), high = yes.

        Each face is shifted a little first: what is only seen from one place is no attribute. Then most lose detail.
        """
        batch, mine = self._config.batch, self._processes.share(self._config.batch)
        rng = stream(self._config.seed, index=step, slot="train/augment/teacher")
        draws = draw_operations(rng, batch, ("translation",), 1.0)
        sides = rng.choice(_SIDES, batch)[mine]
        shifted = apply_operations(faces.float(), {name: values[mine] for name, values in draws.items()})
        shown = as_wide(shifted).clone()
        for side in filter(None, sorted(set(_SIDES))):
            if len(chosen := torch.from_numpy(np.flatnonzero(sides == side)).to(shown.device)):
                shown[chosen] = coarse(shown[chosen], side)
        logits: Tensor = self._network(shown.contiguous(memory_format=torch.channels_last))
        return logits

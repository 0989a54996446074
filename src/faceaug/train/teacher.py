"""A second judge of requested attributes: the bundled classifier.

The discriminator's attribute head is trained along with the generator, which learns to please this one network: an
independent judge found a tenth less of the requested attributes than the head did. The bundled classifier is frozen and
has seen more faces, and a face that fools one of the two networks seldom fools the other.
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

# Resolutions, pixels, that faces are reduced to, equally often; 0 for none. The classifier was trained like this too.
_SIDES = (0, 48, 32, 32)


class Teacher:
    """Classifies generated faces, with gradients.

    Args:
        config: of the run.
        processes: all processes of the run.

    Raises:
        FaceAugError: the bundled classifier does not know CelebA's attributes.
    """

    def __init__(self, config: TrainConfig, processes: Processes) -> None:
        classifier = load_classifier(device=processes.device)
        if classifier.attributes != ATTRIBUTES:
            raise FaceAugError(f"{classifier.config.name}: knows other attributes than CelebA's; reinstall faceaug")
        self._network = classifier.network.requires_grad_(False)
        self._config = config
        self._processes = processes

    def names(self, faces: Tensor, step: int) -> Tensor:
        """Classify this process's faces of a step, float (n, 3, H, W) in -1..1: logits (n, 40), high = yes.

        Each face is shifted a little, and most are blurred, so that fine patterns alone do not please the classifier.
        """
        batch = self._config.batch
        mine = self._processes.share(batch)
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

"""Guided edits: optimise a face's inputs until the classifier sees the change, and little else changes.

Given another value of one attribute, a generator often changes too little: the latent vector and the 39 other
attributes contradict it. So latent vector and attributes are optimised together towards a face in which the classifier
sees the new value, every other attribute stays, and few pixels differ. The generator stays unchanged: the result is a
face that it makes from other inputs, never a picture painted over to please the classifier.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from faceaug.synthesize.classifier import AttributeClassifier, as_wide
from faceaug.synthesize.render import generate
from faceaug.synthesize.weights import AnyGenerator

STEPS = 40
# Mirrored or not, pixels right, pixels down; used in turn. A feature visible in only one view is no attribute.
VIEWS = ((False, 0, 0), (True, 2, -1), (False, -2, -2), (True, -1, 2), (False, 1, 1))
# Batch sizes of edits, fixed so that no face depends on its batch: in float32 matrix products round differently by row,
# which amounts to a grey level or two after forty steps. Matrix instructions treat rows alike; see ``render.BLOCK``.
_BLOCK = 1
_FAST_BLOCK = 8
# Adam's settings, with short memory; a latent number is about 1. The rate decays to a tenth: at full rate every number
# jitters by the rate to the end, and the face with it.
_RATE = 0.06
_LAST = 0.1
_BETAS = (0.8, 0.95)
_MOST_SURE, _LEAST_SURE = 4.0, 1.5  # logits; see ``target_logits``
# Weights of the loss terms.
_MISSING = 7.0  # of the shortfall of the new value's logit
_OTHERS = 6.5  # of the squared changes of the other probabilities
_PIXELS = 45.0  # of the mean absolute pixel difference, in -1..1
_DISTANCE = 0.02  # of the squared distance of the latent vector


class Guide:
    """Optimises edits until the classifier sees them.

    Args:
        generator: conditional generator in evaluation mode.
        classifier: judges the faces; on the generator's device.
        fast: compute in bfloat16, for processors with matrix instructions.
    """

    def __init__(self, generator: AnyGenerator, classifier: AttributeClassifier, *, fast: bool) -> None:
        self._generator = generator
        self._classifier = classifier
        self._fast = fast
        self._z_size = generator.z_size
        self._targets = target_logits(torch.as_tensor(classifier.balanced_accuracy)).tolist()

    def __call__(self, latents: Tensor, edited: Tensor, column: int) -> Tensor:
        """Optimise edited latents until the edit is visible.

        Args:
            latents: float32 (n, z_size + 40), of the original faces.
            edited: the same with another value of one attribute; its sign is the value to be seen.
            column: index of that attribute, 0..39.

        Returns:
            float32 (n, z_size + 40) on the CPU; a face's result does not depend on the other faces.
        """
        size = _FAST_BLOCK if self._fast else _BLOCK
        pairs = zip(torch.split(latents, size), torch.split(edited, size), strict=True)
        return torch.cat([self._block(_padded(a, size), _padded(b, size), column)[: len(a)] for a, b in pairs])

    def _block(self, latents: Tensor, edited: Tensor, column: int) -> Tensor:
        device = next(self._generator.parameters()).device
        latents, edited = latents.to(device), edited.to(device)
        wanted = edited[:, self._z_size + column].sign()
        others = [k for k in range(len(self._classifier.attributes)) if k != column]
        with torch.no_grad():
            before = self._faces(latents)
            likely = [self._logits(shifted(before, *view))[:, others].sigmoid() for view in VIEWS]
        offset = torch.zeros_like(edited, requires_grad=True)
        optimizer = torch.optim.Adam([offset], lr=_RATE, betas=_BETAS)
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = _RATE * (1 - (1 - _LAST) * step / STEPS)
            view = step % len(VIEWS)
            faces = self._faces(edited + offset)
            names = self._logits(shifted(faces, *VIEWS[view]))
            missing = F.relu(self._targets[column] - wanted * names[:, column])
            changed = (names[:, others].sigmoid() - likely[view]).square().sum(1)
            pixels = (faces - before).abs().mean((1, 2, 3))
            distance = offset[:, : self._z_size].square().sum(1)
            loss = _MISSING * missing + _OTHERS * changed + _PIXELS * pixels + _DISTANCE * distance
            (offset.grad,) = torch.autograd.grad(loss.sum(), offset)
            optimizer.step()
        return (edited + offset.detach()).cpu()

    def _faces(self, latents: Tensor) -> Tensor:
        with self._computing(latents):
            return generate(self._generator, latents, self._z_size).float()

    def _logits(self, faces: Tensor) -> Tensor:
        with self._computing(faces):
            seen: Tensor = self._classifier.network(as_wide(faces).contiguous(memory_format=torch.channels_last))
        return seen.float()

    def _computing(self, numbers: Tensor) -> torch.autocast:
        return torch.autocast(numbers.device.type, torch.bfloat16, enabled=self._fast)


def target_logits(accuracy: Tensor) -> Tensor:
    """Target logit of an edit: the confidence that the classifier usually has for real faces.

    If log odds are normal, equally wide with and without an attribute, and right in a share b of both, their mean is
    2 q(b)^2, where q is the quantile function of the normal distribution: 0.3 for Oval_Face, 3.6 for Smiling, 6.9 for
    Male, where the medians over real faces are 0.2, 3.6 and 5.5. With one margin for all, an edit would stop where a
    face is only just male, and another network would not see it. Clamped to 1.5..4: below, chance decides; above, more
    than the attribute changes.

    Args:
        accuracy: float (a,), the classifier's balanced accuracy for each attribute, above 0.5.

    Returns:
        float (a,).
    """
    apart: Tensor = torch.special.ndtri(accuracy)  # the logit's mean over its standard deviation
    return (2 * apart.square()).clamp(_LEAST_SURE, _MOST_SURE)


def shifted(faces: Tensor, mirrored: bool, right: int, down: int) -> Tensor:
    """Shift faces, mirrored first if wanted, by replicating edges: float (n, 3, H, W) -> the same."""
    faces = faces.flip(3) if mirrored else faces
    edge = max(abs(right), abs(down))
    height, width = faces.shape[2:]
    wide = F.pad(faces, (edge, edge, edge, edge), mode="replicate") if edge else faces
    return wide[:, :, edge - down : edge - down + height, edge - right : edge - right + width]


def _padded(latents: Tensor, size: int) -> Tensor:
    """Pad a batch of latents with zeros to a fixed size."""
    full = latents.new_zeros(size, latents.shape[1])
    full[: len(latents)] = latents
    return full

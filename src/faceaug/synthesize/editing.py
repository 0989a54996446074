"""Edits by eye: the numbers a face is made from are moved until a classifier sees the change, and little else.

Told of another value of one attribute, a generator often changes too little: the latent vector and the 39 others speak
against it. So the vector and what is told are descended together towards a face in which the classifier sees the new
value, every other attribute as before, and which differs in few pixels. The generator stays as it is: what comes out is
a face it makes of other numbers, never a picture painted over to please the classifier.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from faceaug.synthesize.classifier import AttributeClassifier, as_wide
from faceaug.synthesize.render import generate
from faceaug.synthesize.weights import AnyGenerator

STEPS = 40
# Mirrored or not, pixels to the right, pixels down; in turn. What shows from one place only is no attribute.
VIEWS = ((False, 0, 0), (True, 2, -1), (False, -2, -2), (True, -1, 2), (False, 1, 1))
# Faces edited at once, so that none depends on its company: in float32 a product of matrices rounds differently by the
# row, and forty steps later that is a grey level or two. Matrix instructions treat rows alike; see ``render.BLOCK``.
_BLOCK, _FAST_BLOCK = 1, 8
# Of Adam, with a memory for few steps; a latent number is about 1. The rate falls to a tenth: at full rate every number
# trembles by it to the end, and a face with it.
_RATE, _LAST, _BETAS = 0.06, 0.1, (0.8, 0.95)
_SUREST, _LEAST_SURE = 4.0, 1.5  # logits; see ``sureness``
# What one unit weighs: of what the logit of the new value lacks; of the other attributes' probabilities, squared and
# summed; of the mean difference of the pixels, in -1..1; of the squared way of the latent vector.
_MISSING, _OTHERS, _PIXELS, _AWAY = 7.0, 6.5, 45.0, 0.02


class Guide:
    """Makes edits show.

    Args:
        generator: obeys attributes, in evaluation mode.
        classifier: looks at the faces; on the generator's device.
        fast: compute in bfloat16, for processors with matrix instructions.
    """

    def __init__(self, generator: AnyGenerator, classifier: AttributeClassifier, *, fast: bool) -> None:
        self._generator, self._classifier, self._fast = generator, classifier, fast
        self._z_size = generator.z_size
        self._sure = sureness(torch.as_tensor(classifier.balanced_accuracy)).tolist()

    def __call__(self, latents: Tensor, edited: Tensor, column: int) -> Tensor:
        """Move edited latents until the edit shows.

        Args:
            latents: float32 (n, z_size + 40), of the faces as they are.
            edited: the same with another value of one attribute; its sign is what shall be seen.
            column: of that attribute, 0..39.

        Returns:
            float32 (n, z_size + 40) on the CPU; a face's numbers do not depend on the faces beside it.
        """
        size = _FAST_BLOCK if self._fast else _BLOCK
        pairs = zip(torch.split(latents, size), torch.split(edited, size), strict=True)
        return torch.cat([self._block(_filled(a, size), _filled(b, size), column)[: len(a)] for a, b in pairs])

    def _block(self, latents: Tensor, edited: Tensor, column: int) -> Tensor:
        device = next(self._generator.parameters()).device
        latents, edited = latents.to(device), edited.to(device)
        wanted = edited[:, self._z_size + column].sign()
        others = [k for k in range(len(self._classifier.attributes)) if k != column]
        with torch.no_grad():
            before = self._faces(latents)
            likely = [self._names(seen_from(before, *view))[:, others].sigmoid() for view in VIEWS]
        way = torch.zeros_like(edited, requires_grad=True)
        optimizer = torch.optim.Adam([way], lr=_RATE, betas=_BETAS)
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = _RATE * (1 - (1 - _LAST) * step / STEPS)
            view = step % len(VIEWS)
            faces = self._faces(edited + way)
            names = self._names(seen_from(faces, *VIEWS[view]))
            missing = F.relu(self._sure[column] - wanted * names[:, column])
            changed = (names[:, others].sigmoid() - likely[view]).square().sum(1)
            pixels = (faces - before).abs().mean((1, 2, 3))
            away = way[:, : self._z_size].square().sum(1)
            loss = _MISSING * missing + _OTHERS * changed + _PIXELS * pixels + _AWAY * away
            (way.grad,) = torch.autograd.grad(loss.sum(), way)
            optimizer.step()
        return (edited + way.detach()).cpu()

    def _faces(self, latents: Tensor) -> Tensor:
        with self._computing(latents):
            return generate(self._generator, latents, self._z_size).float()

    def _names(self, faces: Tensor) -> Tensor:
        with self._computing(faces):
            seen: Tensor = self._classifier.network(as_wide(faces).contiguous(memory_format=torch.channels_last))
        return seen.float()

    def _computing(self, numbers: Tensor) -> torch.autocast:
        return torch.autocast(numbers.device.type, torch.bfloat16, enabled=self._fast)


def sureness(accuracy: Tensor) -> Tensor:
    """Logit of the new value at which the classifier is as sure of an edit as it usually is of a real face.

    A logarithm of odds that is normal, equally wide with and without an attribute, and right in a share b of both is
    2 q(b)^2 on average, q being the quantile of the normal distribution: 0.3 for Oval_Face, 3.6 for Smiling, 6.9 for
    Male, where the medians over real faces are 0.2, 3.6 and 5.5. With one margin for all, an edit stops where a face is
    only just a man's; another network then does not see one. Kept between 1.5 and 4: below, chance decides; above,
    more is changed than the attribute.

    Args:
        accuracy: float (a,), balanced accuracy of the classifier for each attribute, above 0.5.

    Returns:
        float (a,).
    """
    apart: Tensor = torch.special.ndtri(accuracy)  # the logit's mean over its standard deviation
    return (2 * apart.square()).clamp(_LEAST_SURE, _SUREST)


def seen_from(faces: Tensor, mirrored: bool, right: int, down: int) -> Tensor:
    """Faces of 64 pixels moved by some, and mirrored before; edges are drawn out: float (n, 3, H, W) in and out."""
    faces = faces.flip(3) if mirrored else faces
    edge, (height, width) = max(abs(right), abs(down)), faces.shape[2:]
    wide = F.pad(faces, (edge, edge, edge, edge), mode="replicate") if edge else faces
    return wide[:, :, edge - down : edge - down + height, edge - right : edge - right + width]


def _filled(latents: Tensor, size: int) -> Tensor:
    """At most so many latents as so many, with zeros in the empty places."""
    full = latents.new_zeros(size, latents.shape[1])
    full[: len(latents)] = latents
    return full

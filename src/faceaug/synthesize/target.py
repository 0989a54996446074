"""The target of a synthetic face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import SYNTHETIC, unknown
from faceaug.data.folder import Target, make_target


def synthetic_target(index: int, attributes: NDArray[np.int8] | None = None) -> Target:
    """Target of a synthetic face: origin 2, training partition (never validation or test), the rest unknown.

    Args:
        index: number of the face.
        attributes: int8 (40,), attributes given to the generator, if it takes any.
    """
    nobody = unknown(1)
    nobody.origin[0] = SYNTHETIC
    nobody.partition[0] = 0
    if attributes is not None:
        nobody.attributes[0] = attributes
    return make_target(nobody, 0) | {"index": index}

"""MTCNN's O-Net in numpy: a face of 48 x 48 pixels -> its score, the correction of its box and five landmarks.

K. Zhang, Z. Zhang, Z. Li, Y. Qiao, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional
Networks", 2016. A crop takes about a millisecond, and the numbers are torch's to 1e-6: finding faces needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import WeightsError

SIDE = 48  # pixels of the input
Floats = NDArray[np.float32]
_CONVOLUTIONS = {"conv1": (32, 3, 3), "conv2": (64, 32, 3), "conv3": (64, 64, 3), "conv4": (128, 64, 2)}
_POOLS = {"conv1": 3, "conv2": 3, "conv3": 2}  # side of the window of the maximum, always every second pixel
_DENSE = {"dense5": (256, 1152), "dense6_1": (2, 256), "dense6_2": (4, 256), "dense6_3": (10, 256)}
_SLOPES = {"prelu1": 32, "prelu2": 64, "prelu3": 64, "prelu4": 128, "prelu5": 256}
SHAPES: dict[str, tuple[int, ...]] = {
    **{f"{name}.weight": (out, into, side, side) for name, (out, into, side) in _CONVOLUTIONS.items()},
    **{f"{name}.bias": (out,) for name, (out, _, _) in _CONVOLUTIONS.items()},
    **{f"{name}.weight": shape for name, shape in _DENSE.items()},
    **{f"{name}.bias": (out,) for name, (out, _) in _DENSE.items()},
    **{f"{name}.weight": (size,) for name, size in _SLOPES.items()},
}


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What O-Net says about n crops.

    Attributes:
        scores: float64 (n,), probability of a face; many are so near to 1 that float32 would hide their order.
        landmarks: float32 (n, 5, 2), x and y as shares of the crop's side, the viewer's left eye first.
    """

    scores: NDArray[np.float64]
    landmarks: Floats


class ONet:
    """The network; see the module.

    Args:
        tensors: float32 arrays with the names and shapes of ``SHAPES``.

    Raises:
        WeightsError: other names or shapes.
    """

    def __init__(self, tensors: Mapping[str, Floats]) -> None:
        found = {name: tensor.shape for name, tensor in tensors.items()}
        if found != SHAPES:
            wrong = min(set(found.items()) ^ set(SHAPES.items()))[0]
            raise WeightsError(f"O-Net: {wrong} has shape {found.get(wrong)}, expected {SHAPES.get(wrong)}")
        if any(float(tensors[f"{name}.weight"].max()) > 1 for name in _SLOPES):
            raise WeightsError("O-Net: the slope of a PReLU is above 1, which no trained one had")
        self._tensors = {
            # Convolutions as matrices, (side * side * in, out), for pictures with the channels last.
            name: np.ascontiguousarray(t.transpose(2, 3, 1, 0).reshape(-1, t.shape[0]) if t.ndim == 4 else t)
            for name, t in tensors.items()
        }

    def read(self, crops: NDArray[np.uint8]) -> Reading:
        """Read n crops.

        Args:
            crops: uint8 (n, 48, 48, 3), RGB.
        """
        x = (crops.astype(np.float32) - np.float32(127.5)) * np.float32(0.0078125)
        for number, (name, (_, _, side)) in enumerate(_CONVOLUTIONS.items(), 1):
            x = self._rectified(self._convolved(x, name, side), f"prelu{number}")
            if name in _POOLS:
                x = pooled(x, _POOLS[name])
        # The weights count columns first, then rows, then channels, as the Caffe model did.
        flat = x.transpose(0, 2, 1, 3).reshape(len(x), -1)
        features = self._rectified(self._dense(flat, "dense5"), "prelu5")
        logits = self._dense(features, "dense6_1")
        places = self._dense(features, "dense6_3").reshape(-1, 2, 5)  # five x, then five y
        scores = 1 / (1 + np.exp(logits[:, 0].astype(np.float64) - logits[:, 1]))
        return Reading(scores, np.ascontiguousarray(places.transpose(0, 2, 1)))

    def _convolved(self, x: Floats, name: str, side: int) -> Floats:
        n, height, width, _ = x.shape
        shape = (n, height - side + 1, width - side + 1)
        windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))
        columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(shape[0] * shape[1] * shape[2], -1)
        result: Floats = columns @ self._tensors[f"{name}.weight"]
        result += self._tensors[f"{name}.bias"]
        return result.reshape(*shape, -1)

    def _dense(self, x: Floats, name: str) -> Floats:
        result: Floats = x @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]
        return result

    def _rectified(self, x: Floats, name: str) -> Floats:
        result: Floats = np.maximum(x, self._tensors[f"{name}.weight"] * x)  # slopes are at most 1
        return result


def pooled(x: Floats, side: int) -> Floats:
    """Maximum over windows of ``side`` pixels, every second pixel; windows may end beyond the edge."""
    n, height, width, channels = x.shape
    rows, columns = (-(-(size - side) // 2) + 1 for size in (height, width))
    padded = np.full((n, 2 * rows + side - 2, 2 * columns + side - 2, channels), -np.inf, np.float32)
    padded[:, :height, :width] = x[:, : padded.shape[1], : padded.shape[2]]
    across = np.maximum(padded[:, :, : 2 * columns : 2], padded[:, :, 1 : 1 + 2 * columns : 2])
    for j in range(2, side):
        np.maximum(across, padded[:, :, j : j + 2 * columns : 2], out=across)
    result: Floats = np.maximum(across[:, : 2 * rows : 2], across[:, 1 : 1 + 2 * rows : 2])
    for i in range(2, side):
        np.maximum(result, across[:, i : i + 2 * rows : 2], out=result)
    return result

from __future__ import annotations

import math

import numpy as np
import pytest

from faceaug import WeightsError
from faceaug.draws import stream
from faceaug.faces.onet import ONet, pooled
from faceaug.faces.weights import ONET, read_tensors

NETWORK = ONet(read_tensors(ONET))
# What facenet-pytorch 2.6.0's ONet makes of these crops, with torch 2.15 and its own file.
SCORES = [0.001352444, 0.000519498, 0.001318206]
LANDMARKS = [
    [0.30895600, 0.29298246], [0.71750712, 0.30792451], [0.46172881, 0.53908145], [0.30067587, 0.81834912],
    [0.60228610, 0.85293186],
]  # fmt: skip
CROPS = stream(0, slot="tests/onet").integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)


def test_the_numbers_are_those_of_facenet_pytorch() -> None:
    read = NETWORK.read(CROPS)
    assert read.scores == pytest.approx(SCORES, abs=1e-6)
    assert read.landmarks[0] == pytest.approx(np.array(LANDMARKS), abs=1e-6)


def test_a_crop_is_read_alike_alone_and_among_others() -> None:
    together = NETWORK.read(CROPS).landmarks
    for k in range(3):
        assert NETWORK.read(CROPS[k : k + 1]).landmarks[0] == pytest.approx(together[k], abs=1e-6)


@pytest.mark.parametrize("side", [2, 3])
@pytest.mark.parametrize("length", [4, 7, 10, 46])
def test_a_maximum_is_taken_over_every_second_window_the_last_one_cut_off(side: int, length: int) -> None:
    x = stream(1, slot="tests/onet").normal(size=(1, length, length, 2)).astype(np.float32)
    starts = range(0, 2 * math.ceil((length - side) / 2) + 1, 2)
    expected = [[x[0, i : i + side, j : j + side].max(axis=(0, 1)) for j in starts] for i in starts]
    assert np.array_equal(pooled(x, side)[0], np.array(expected))


def test_tensors_of_another_network_are_refused() -> None:
    tensors = read_tensors(ONET)
    with pytest.raises(WeightsError, match=r"dense5\.weight has shape None, expected \(256, 1152\)"):
        ONet({name: tensor for name, tensor in tensors.items() if name != "dense5.weight"})
    steep = tensors | {"prelu1.weight": tensors["prelu1.weight"] + 1}
    with pytest.raises(WeightsError, match="slope"):
        ONet(steep)

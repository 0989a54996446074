from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.mix.filter import unlike_share
from faceaug.mix.registration import Framing, measure_framing, why_unlike
from faceaug.synthesize import SyntheticFaceSource


@pytest.fixture(scope="module")
def faces() -> NDArray[np.uint8]:
    """Generated faces, uint8 (n, H, W, 3)."""
    made = SyntheticFaceSource("dcgan-32", seed=3).generate(640)
    return np.ascontiguousarray(made.permute(0, 2, 3, 1).numpy())


def framed(
    faces: NDArray[np.uint8], width: float, height: float, right: float = 0.0, down: float = 0.0
) -> NDArray[np.uint8]:
    """Faces that are so many times wider and taller, and moved by a share of the picture."""
    side = faces.shape[1]
    centre = (side - 1) / 2
    there = np.array(
        [[width, 0, centre * (1 - width) + right * side], [0, height, centre * (1 - height) + down * side]], np.float32
    )
    return np.stack([cv2.warpAffine(face, there, (side, side), borderMode=cv2.BORDER_REFLECT) for face in faces])


def measured(real: NDArray[np.uint8], made: NDArray[np.uint8]) -> Framing:
    found = measure_framing(real, made.astype(np.float64).mean(axis=0).transpose(2, 0, 1), len(made))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("width", "height", "right", "down"),
    [
        (1.0, 1.0, 0.0, 0.0),
        (0.8, 0.8, 0.0, 0.0),
        (1.25, 1.25, 0.05, -0.08),
        (1.0, 1.22, 0.0, 0.0),
        (0.78, 1.3, 0.1, 0.06),
    ],
)
def test_the_framing_of_faces_of_other_seeds_is_found(
    faces: NDArray[np.uint8], width: float, height: float, right: float, down: float
) -> None:
    found = measured(framed(faces[:320], width, height, right, down), faces[320:])
    assert found.clear
    assert found.differs == ((width, height) != (1.0, 1.0))
    assert found.width == pytest.approx(width, rel=0.045)
    assert found.height == pytest.approx(height, rel=0.045)
    assert (found.right, found.down) == pytest.approx((right, down), abs=0.02)


@pytest.mark.parametrize("kind", ["noise", "negatives", "anywhere", "turned"])
def test_what_does_not_match_is_not_called_another_framing(faces: NDArray[np.uint8], kind: str) -> None:
    rng = np.random.default_rng(0)
    real = {
        "noise": rng.integers(0, 256, (300, 32, 32, 3), dtype=np.uint8),
        "negatives": 255 - faces[:320],
        "anywhere": np.stack([np.roll(face, rng.integers(0, 32, 2), (0, 1)) for face in faces[:320]]),
        "turned": faces[:320, ::-1],
    }[kind]
    found = measured(np.ascontiguousarray(real), faces[320:])
    assert not found.clear
    assert not found.differs
    assert "The reason is not clear" in why_unlike(found, "m")[0]


def test_light_is_no_framing(faces: NDArray[np.uint8]) -> None:
    found = measured(faces[:320] // 3, faces[320:])
    assert found.clear
    assert not found.differs
    assert "the framing agrees" in why_unlike(found, "m")[0]


def test_few_or_flat_faces_say_nothing(faces: NDArray[np.uint8]) -> None:
    mean = faces.astype(np.float64).mean(axis=0).transpose(2, 0, 1)
    assert measure_framing(faces[:50], mean, 640) is None
    assert measure_framing(faces, mean, 50) is None
    assert measure_framing(np.full_like(faces, 128), mean, 640) is None
    assert "too few" in why_unlike(None, "m")[0]


def test_the_difference_is_told_in_words_with_what_helps() -> None:
    tall = why_unlike(Framing(1.04, 1.26, 0.0, -0.079, 0.99), "dcgan-32")
    assert tall[0] == (
        "The framing differs: in your pictures faces are 4 % wider and 26 % taller, and lie 8 % of the picture higher "
        "than in those of dcgan-32."
    )
    assert "aspect ratio" in tall[1]
    assert Framing(0.8, 0.8, 0.0, 0.0, 0.99).words() == "faces are 20 % narrower and 20 % shorter"
    assert "the middle 80 % of" in why_unlike(Framing(0.8, 0.8, 0.0, 0.0, 0.99), "m")[1]
    assert len(why_unlike(Framing(1.2, 1.2, 0.0, 0.0, 0.99), "m")) == 1


def test_the_share_counts_faces_that_came_as_far_as_that_test() -> None:
    assert unlike_share({"unrealistic": 40, "attribute": 100, "flat": 0, "copy": 5}, 200) == 0.4
    assert unlike_share({}, 0) == 0.0

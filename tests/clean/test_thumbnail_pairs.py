from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.clean.signatures import looks_of
from faceaug.clean.thumbnail_pairs import agreements
from tests.clean.test_verify import detailed

MOVES = {
    "shifted": [[1, 0, 1.2], [0, 1, -0.8]],
    "cropped": [[0.94, 0, 0.9], [0, 0.94, 0.9]],
    "turned": [[1, 0.03, -0.4], [-0.03, 1, 0.4]],
}


def thumbnails() -> NDArray[np.uint8]:
    return np.stack([looks_of(detailed(k))["thumbnail"] for k in range(12)])


def moved(seen: NDArray[np.uint8], matrix: list[list[float]]) -> NDArray[np.uint8]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (32, 32)
    warped = [cv2.warpAffine(one, np.array(matrix), size, flags=flags, borderMode=cv2.BORDER_REPLICATE) for one in seen]
    return np.stack(warped)


@pytest.mark.parametrize("how", MOVES)
def test_moved_copies_agree_and_strangers_do_not(how: str) -> None:
    seen = thumbnails()
    assert agreements(seen, moved(seen, MOVES[how])).min() > 0.9
    assert agreements(seen, np.roll(moved(seen, MOVES[how]), 1, axis=0)).max() < 0.7


def test_gain_and_offset_do_not_matter() -> None:
    seen = thumbnails()
    paler = (seen * 0.6 + 60).round().astype(np.uint8)
    assert agreements(seen, paler).min() > 0.98
    assert agreements(seen, moved(paler, MOVES["shifted"])).min() > 0.9


def test_a_pair_has_the_same_agreement_in_any_company() -> None:
    seen = thumbnails()
    other = moved(seen, MOVES["turned"])
    alone = [float(agreements(seen[k : k + 1], other[k : k + 1])[0]) for k in range(len(seen))]
    assert agreements(seen, other) == pytest.approx(alone, abs=1e-4)


def test_blank_thumbnails_agree_with_nothing() -> None:
    blank = np.full((3, 32, 32), 90, np.uint8)
    assert agreements(blank, blank).tolist() == [0, 0, 0]
    assert agreements(blank, thumbnails()[:3]).tolist() == [0, 0, 0]
    assert len(agreements(blank[:0], blank[:0])) == 0

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from faceaug.clean.face_limits import find_faults, find_limits
from faceaug.clean.face_looks import FACE_LOOKS
from faceaug.draws import stream

USUAL = {"faces": 1, "alike": 1, "eyes": 38, "fine": 0.9, "light": 180, "spread": 190, "entropy": 7.3, "width": 178}


def looks(n: int = 60, **changed: Any) -> NDArray[np.void]:
    """Photos as CelebA's are, a little different from each other."""
    table = np.zeros(n, FACE_LOOKS)
    random = stream(n, slot="tests/looks")
    for name, value in (USUAL | {"height": 218} | changed).items():
        table[name] = value
    for name in ("eyes", "fine", "light", "spread"):
        table[name] *= random.uniform(0.9, 1.1, n).astype(np.float32)
    return table


def one(**changed: Any) -> NDArray[np.void]:
    table = looks(1)
    for name, value in changed.items():
        table[name] = value
    return table


def faults_of(table: NDArray[np.void], k: int = -1) -> set[str]:
    limits, _ = find_limits(table)
    return {fault for fault, which in find_faults(table, limits).items() if which[k]}


@pytest.mark.parametrize(
    ("changed", "faults"),
    [
        ({}, set()),
        ({"fine": 0.55}, {"blurred"}),
        ({"light": 60}, {"dark"}),
        ({"clipped": 0.6}, {"bright"}),
        ({"spread": 50}, {"washed-out"}),
        ({"spread": 50, "light": 60}, {"dark"}),
        ({"eyes": 12}, {"tiny"}),
        ({"eyes": 7, "fine": 0.3}, {"tiny"}),
        ({"outside": 0.3}, {"cut-off"}),
        ({"alike": 2, "faces": 3}, {"several-faces"}),
        ({"roll": -178}, {"upside-down"}),
        ({"roll": 92}, {"sideways"}),
        ({"roll": 40}, set()),
        ({"width": 890, "height": 1090}, {"odd-size"}),
        ({"width": 178, "height": 178}, {"odd-shape"}),
        ({"faces": 0, "eyes": 0}, {"no-face"}),
        ({"faces": 0, "eyes": 0, "fine": 0.3}, {"no-face", "blurred"}),
        ({"faces": 0, "eyes": 0, "width": 24, "height": 29}, {"no-face", "tiny", "odd-size"}),
        ({"faces": 0, "eyes": 0, "entropy": 1, "fine": 0.3, "spread": 0}, {"no-face", "low-information"}),
    ],
)
def test_a_picture_has_the_faults_that_its_figures_say(changed: dict[str, Any], faults: set[str]) -> None:
    assert faults_of(np.concatenate([looks(), one(**changed)])) == faults


@pytest.mark.parametrize(
    ("fault", "changed"),
    [("blurred", {"fine": 0.4}), ("dark", {"light": 40}), ("washed-out", {"spread": 30}), ("tiny", {"eyes": 4})],
)
@pytest.mark.parametrize("n", [1, 5, 60])
def test_a_folder_that_is_all_bad_does_not_call_itself_good(fault: str, changed: dict[str, Any], n: int) -> None:
    table = looks(n, **changed)
    limits, _ = find_limits(table)
    assert find_faults(table, limits)[fault].all()


def test_a_folder_of_few_pictures_is_judged_by_absolute_limits() -> None:
    limits, calibrated = find_limits(looks(8))
    assert not calibrated
    assert "odd-size" not in limits
    assert limits["dark"].usual is None
    assert faults_of(np.concatenate([looks(7), one(light=30)])) == {"dark"}
    assert faults_of(np.concatenate([looks(7), one(width=800, height=100)])) == {"odd-shape"}


def test_in_a_folder_of_sharper_and_larger_faces_the_same_picture_is_worse() -> None:
    assert faults_of(np.concatenate([looks(), one(eyes=18)])) == set()
    assert faults_of(np.concatenate([looks(eyes=200), one(eyes=18)])) == {"tiny"}
    assert faults_of(np.concatenate([looks(fine=0.82), one(fine=0.62)])) == set()
    assert faults_of(np.concatenate([looks(fine=1.2), one(fine=0.62)])) == {"blurred"}


def test_however_good_a_folder_is_an_ordinary_photo_has_no_fault() -> None:
    assert faults_of(np.concatenate([looks(eyes=300, fine=1.4, light=230, spread=240), one()])) == set()


def test_a_folder_of_two_sizes_finds_neither_odd() -> None:
    table = np.concatenate([looks(40), looks(20, width=1024, height=1024)])
    limits, _ = find_limits(table)
    found = find_faults(table, limits)
    assert not found["odd-size"].any()
    assert not found["odd-shape"].any()


def test_an_empty_folder_has_limits_too() -> None:
    limits, calibrated = find_limits(np.zeros(0, FACE_LOOKS))
    assert not calibrated
    assert all(not which.size for which in find_faults(np.zeros(0, FACE_LOOKS), limits).values())


@given(st.integers(0, 2**32 - 1), st.integers(20, 200))
def test_without_its_faulty_pictures_a_folder_has_none(seed: int, n: int) -> None:
    # A second clean would otherwise find more, and a third again.
    random = np.random.default_rng(seed)
    table = looks(n)
    bad = random.random(n) < 0.2
    table["fine"][bad] *= random.uniform(0.3, 1.0, bad.sum()).astype(np.float32)
    table["light"][bad] *= random.uniform(0.2, 1.2, bad.sum()).astype(np.float32)
    limits, _ = find_limits(table)
    good = table[~np.any(list(find_faults(table, limits).values()), axis=0)]
    again, _ = find_limits(good)
    assert not np.any(list(find_faults(good, again).values()))

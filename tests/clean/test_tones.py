from __future__ import annotations

import numpy as np
import pytest

from faceaug.clean.tones import NEUTRAL, fit_tones, misread, read_as, toned
from tests.conftest import picture

COLOURS = (picture(3)[::9, ::9].reshape(-1, 3) / 255).astype(np.float32)
ADOBE = np.linalg.inv(np.array([[1.39836, -0.39836, 0.0], [0.0, 1.0, 0.0], [0.0, -0.04293, 1.04293]]))


@pytest.mark.parametrize(
    "edit",
    [
        [1.1, 1.1, 1.1, 1.0, 0.0, 1.0],
        [1.08, 1.0, 0.92, 1.0, 0.0, 1.0],
        [1.0, 1.0, 1.0, 0.8, 0.0, 1.0],
        [0.8, 0.8, 0.8, 1.0, 0.1, 1.0],
        [1.0, 1.0, 1.0, 1.0, 0.0, 0.6],
    ],
)
def test_the_usual_edits_are_found(edit: list[float]) -> None:
    wanted = toned(COLOURS, np.array(edit))
    found = toned(COLOURS, fit_tones(wanted, COLOURS))
    assert np.abs(found - wanted).mean() < 0.01


def test_equal_colours_are_left_alone() -> None:
    assert np.abs(fit_tones(COLOURS, COLOURS) - NEUTRAL).max() < 0.01


def test_another_skin_before_the_same_ground_is_no_edit_of_tones() -> None:
    one = np.repeat(np.float32([[1, 1, 1], [0.96, 0.82, 0.66], [0.1, 0.1, 0.1], [0.6, 0.1, 0.1]]), 60, axis=0)
    other = np.repeat(np.float32([[1, 1, 1], [0.78, 0.53, 0.26], [0.1, 0.1, 0.1], [0.6, 0.1, 0.1]]), 60, axis=0)
    assert np.abs(toned(other, fit_tones(one, other)) - one).max() > 0.08


def test_numbers_of_a_wide_space_read_as_srgb_are_recognised() -> None:
    linear = np.where(COLOURS <= 0.04045, COLOURS / 12.92, ((COLOURS + 0.055) / 1.055) ** 2.4)
    wide = np.clip(linear @ ADOBE.T, 0, 1).astype(np.float32) ** np.float32(1 / 2.19921875)
    assert (misread(wide, COLOURS), misread(COLOURS, wide)) == ((1, "Adobe RGB"), (2, "Adobe RGB"))
    assert np.abs(read_as(wide, "Adobe RGB") - COLOURS).max() < 0.01
    for edit in ([1.1, 1.1, 1.1, 1, 0, 1], [1, 1, 1, 0.8, 0, 1], [1.08, 1, 0.92, 1, 0, 1], NEUTRAL):
        assert misread(toned(COLOURS, np.array(edit)), COLOURS) == (0, "")

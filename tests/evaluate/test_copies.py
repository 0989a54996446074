from __future__ import annotations

import numpy as np
import pytest

from faceaug import SyntheticFaceSource
from faceaug.evaluate import copies
from faceaug.evaluate.copies import find_copies
from faceaug.data.image import decode, encode_jpeg


def faces(n: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return SyntheticFaceSource(seed=seed).generate(n).numpy()


def test_copies_recompressed_copies_and_mirrored_copies_are_found_and_strangers_are_not() -> None:
    training, made = faces(150, 1), faces(60, 2)
    made[3] = training[70]
    made[9] = decode(encode_jpeg(training[8].transpose(1, 2, 0).copy(), quality=85)).transpose(2, 0, 1)
    made[20] = training[140][:, :, ::-1]
    found = find_copies(made, training, faces(60, 3))
    assert [(c.face, c.row, c.mirrored) for c in found.copies] == [(3, 70, False), (9, 8, False), (20, 140, True)]
    assert found.copies[0].bits == 0
    assert found.compared <= found.candidates
    assert (found.unseen_copies, found.radius) == (0, 6)


def test_without_unseen_faces_there_is_no_control() -> None:
    found = find_copies(faces(20, 2), faces(20, 1), None)
    assert (found.copies, found.unseen_copies) == ((), -1)


def test_blank_faces_by_the_million_do_not_stop_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_COMPARED", 10)
    blank = np.full((40, 3, 32, 32), 90, np.uint8)
    found = find_copies(blank, blank, None)
    assert (found.copies, found.candidates, found.compared) == ((), 3200, 10)

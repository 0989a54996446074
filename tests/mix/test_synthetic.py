from __future__ import annotations

import gc

import numpy as np

from faceaug.mix.synthetic import Part, SyntheticFaces, make_synthetic
from faceaug.storage.temporary import make_temporary
from faceaug.synthesize import SyntheticFaceSource


def test_faces_are_written_when_they_are_made_and_not_before() -> None:
    source = SyntheticFaceSource("dcgan-32", seed=2)
    temporary = make_temporary()
    empty = SyntheticFaces([Part(source, 3), Part(source, 2, label=7)], temporary)
    assert (len(empty), empty.shape, empty.labels.tolist()) == (5, (5, 3, 32, 32), [-1, -1, -1, 7, 7])
    assert not empty.path.exists()
    made = make_synthetic([Part(source, 3)], sieve=None)
    assert np.array_equal(np.stack([made[k] for k in range(3)]), source.generate(3).numpy())
    path = made.path
    assert path.exists()
    del made, empty
    gc.collect()
    assert not path.exists()
    assert not temporary.path.exists()

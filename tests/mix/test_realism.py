from __future__ import annotations

import numpy as np

from faceaug.draws import stream
from faceaug.mix.realism import QUANTILE, Realism, describe_faces
from faceaug.synthesize import SyntheticFaceSource


def faces(n: int, seed: int) -> np.ndarray:
    return np.ascontiguousarray(SyntheticFaceSource(seed=seed).generate(n).permute(0, 2, 3, 1).numpy())


def test_faces_of_the_same_kind_pass_and_torn_ones_do_not() -> None:
    realism = Realism.fit(faces(900, 1))
    assert realism is not None
    others = faces(300, 2)
    assert abs(realism.accepts(others).mean() - QUANTILE) < 0.05
    blocks = others.reshape(300, 2, 16, 2, 16, 3)[:, ::-1, :, ::-1].reshape(others.shape)
    noise = stream(1, slot="tests/noise").integers(0, 256, others.shape, np.uint8)
    assert realism.accepts(np.ascontiguousarray(blocks)).mean() < 0.1
    assert realism.accepts(noise).mean() < 0.3  # its gradients are like the mean of all faces: the hardest case


def test_too_few_real_faces_say_nothing() -> None:
    assert Realism.fit(faces(200, 1)) is None


def test_a_face_is_described_alike_in_any_company_and_at_any_size() -> None:
    some = faces(8, 3)
    assert np.allclose(describe_faces(some)[3], describe_faces(some[3:4])[0], atol=1e-5)
    assert np.allclose(describe_faces(some.repeat(2, 1).repeat(2, 2)), describe_faces(some), atol=1e-4)

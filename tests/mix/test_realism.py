from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceaug.draws import stream
from faceaug.data.folder import FaceFolder
from faceaug.mix.realism import QUANTILE, Realism, describe_faces
from faceaug.synthesize import SyntheticFaceSource
from faceaug.train.faces import load_faces


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
    assert not realism.accepts(noise).any()


@pytest.mark.parametrize("size", [32, 64])
def test_beside_real_faces_noise_is_none(celeba64: Path, size: int) -> None:
    pixels = load_faces(FaceFolder(celeba64), crop="center178", size=size, rows=np.arange(1500))[0]
    real = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    realism = Realism.fit(real[:1200])
    assert realism is not None
    assert realism.accepts(real[1200:]).mean() > 0.8
    assert not realism.accepts(stream(1, slot="tests/noise").integers(0, 256, real[:300].shape, np.uint8)).any()
    assert not realism.accepts(np.full_like(real[:3], 128)).any()


def test_too_few_real_faces_say_nothing() -> None:
    assert Realism.fit(faces(200, 1)) is None


def test_a_face_is_described_alike_in_any_company_and_at_any_size() -> None:
    some = faces(8, 3)
    assert np.allclose(describe_faces(some)[3], describe_faces(some[3:4])[0], atol=1e-5)
    assert np.allclose(describe_faces(some.repeat(2, 1).repeat(2, 2)), describe_faces(some), atol=1e-4)

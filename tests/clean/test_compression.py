from __future__ import annotations

import io
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from faceaug.clean.compression import NOT_SAVED, compression_of
from faceaug.data.image import decode, encode_jpeg, encode_png
from tests.conftest import picture


@pytest.mark.parametrize("quality", [5, 10, 40, 75, 90, 95])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_settings_of_a_jpeg_are_read_and_repeated(quality: int, subsampling: Literal[0, 1, 2]) -> None:
    image = picture(1)
    data = encode_jpeg(image, quality=quality, subsampling=subsampling)
    found = compression_of(data)
    assert (found.quality, found.subsampling) == (quality, subsampling)
    assert np.array_equal(found.applied(image), decode(data))


def test_a_progressive_grey_jpeg_has_a_quality() -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(2)).convert("L").save(buffer, "JPEG", quality=60, progressive=True)
    assert compression_of(buffer.getvalue()).quality == 60


def test_what_is_no_jpeg_was_not_saved_as_one() -> None:
    image = picture(3)
    assert compression_of(encode_png(image)) == compression_of(b"") == NOT_SAVED
    assert NOT_SAVED.applied(image) is image


@pytest.mark.parametrize("length", [2, 20, 180, 400])
def test_a_cut_off_header_is_no_error(length: int) -> None:
    assert compression_of(encode_jpeg(picture(1))[:length]).quality <= 101

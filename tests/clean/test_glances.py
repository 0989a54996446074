from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from faceaug.clean.glances import glance_of
from faceaug.clean.signatures import LOOKS, read_signature
from faceaug.data.image import decode, decode_luma, encode_jpeg, encode_png, probe
from faceaug.storage.files import write_bytes
from tests.clean.test_verify import detailed
from tests.conftest import picture


def apart(one: np.uint64, other: np.uint64) -> int:
    return int(np.bitwise_count(one ^ other))


@pytest.mark.parametrize(("height", "width"), [(218, 178), (64, 64), (97, 130), (700, 500)])
def test_the_hash_of_the_stored_luma_is_that_of_the_decoded_colours(height: int, width: int) -> None:
    for seed in range(6):
        data = encode_jpeg(cv2.resize(detailed(seed), (width, height)), quality=80)
        luma = decode_luma(data, probe(data), least=64)
        assert luma is not None
        grey = cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY)
        seen, full = glance_of(luma), glance_of(grey)
        assert max(map(apart, seen.words, full.words)) <= 3
        assert np.abs(seen.thumbnail.astype(int) - full.thumbnail).mean() < 3


def test_copies_have_nearly_the_same_hash_and_other_pictures_another_one() -> None:
    photos = [cv2.cvtColor(detailed(k), cv2.COLOR_RGB2GRAY) for k in range(8)]
    for number, photo in enumerate(photos):
        smaller = cv2.resize(photo, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
        brighter = np.clip(photo * 0.9 + 20, 0, 255).astype(np.uint8)
        word = glance_of(photo).words[0]
        assert max(apart(word, glance_of(copy).words[0]) for copy in (smaller, brighter)) <= 4
        assert min(apart(word, glance_of(other).words[0]) for k, other in enumerate(photos) if k != number) > 10


@pytest.mark.parametrize("side", [(1, 1), (1, 300), (20, 20), (31, 65)])
def test_blank_pictures_of_any_size_have_one_hash(side: tuple[int, int]) -> None:
    words = {tuple(glance_of(np.full(side, level, np.uint8)).words.tolist()) for level in (0, 3, 77, 255)}
    assert words == {(1 << 63,) * 3}


def test_the_middle_of_a_picture_resembles_its_crop_more_than_the_whole_does() -> None:
    nearer = []
    for seed in range(10):
        grey = cv2.cvtColor(detailed(seed), cv2.COLOR_RGB2GRAY)
        height, width = grey.shape
        crop = grey[round(0.04 * height) : round(0.96 * height), round(0.04 * width) : round(0.96 * width)]
        whole, _, middle = glance_of(grey).words
        cropped = glance_of(crop).words[0]
        nearer.append(apart(middle, cropped) - apart(whole, cropped))
    assert sum(nearer) < 0


def test_a_jpeg_is_settled_only_where_its_hash_would_be_noise(tmp_path: Path) -> None:
    for name, data, settled in (
        ("photo.jpg", encode_jpeg(picture(1)), False),
        ("flat.jpg", encode_jpeg(np.full((64, 64, 3), 90, np.uint8)), True),
        ("photo.png", encode_png(picture(1)), True),
    ):
        path = tmp_path / name
        write_bytes(path, data)
        signature = read_signature(str(path))
        assert signature.settled == settled
        assert np.frombuffer(signature.looks, LOOKS)[0]["height"] == (64 if "flat" in name else 218)

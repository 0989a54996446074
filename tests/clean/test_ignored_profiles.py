from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageCms

from faceaug.clean import clean_folder
from faceaug.data.profiles import profile_fault
from tests.conftest import picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CMYK = SRGB[:16] + b"CMYK" + SRGB[20:]
LAB = SRGB[:16] + b"Lab " + SRGB[20:]


@pytest.mark.parametrize(
    ("profile", "fault"),
    [(b"", ""), (SRGB, ""), (CMYK, "of another colour model"), (LAB, "of another colour model"),
     (SRGB[:16] + b"RGB " + bytes(200), "damaged")],
)  # fmt: skip
def test_why_a_profile_is_ignored(profile: bytes, fault: str) -> None:
    assert profile_fault(profile) == fault


def test_an_ink_profile_is_for_pictures_of_inks() -> None:
    assert profile_fault(CMYK, inks=True) == ""
    assert profile_fault(SRGB, inks=True) == "of another colour model"


def test_a_clean_names_pictures_whose_profile_is_ignored(tmp_path: Path) -> None:
    for k, profile in enumerate([SRGB, CMYK, LAB, b""]):
        Image.fromarray(picture(k, height=40, width=40)).save(tmp_path / f"face{k}.jpg", icc_profile=profile)
    says = "2 pictures have an ICC profile that is of another colour model and ignored (face1.jpg, face2.jpg)"
    for _ in range(2):  # the second time from the cache
        report = clean_folder(tmp_path)
        assert says in report.notes
        assert says in report.summary()

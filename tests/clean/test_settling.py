from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceaug.clean import CleanPolicy, CleanReport, clean_folder, find_leaks, undo_clean
from faceaug.clean.hashes import hash_object, phash_words
from faceaug.data.image import decode, encode_jpeg, encode_png
from faceaug.errors import ImageError
from tests.clean.zoo import write
from tests.conftest import picture

ALL = CleanPolicy(max_remove=1)


def kinds(report: CleanReport) -> dict[str, str]:
    return {entry.name: entry.kind for entry in report.set_aside}


def optimised(image: np.ndarray, **options: object) -> bytes:
    """A JPEG of the same coefficients, coded otherwise."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=75, subsampling=0, **options)
    return buffer.getvalue()


def test_the_same_pixels_are_found_in_another_coding_and_another_format(tmp_path: Path) -> None:
    photos = [picture(k) for k in range(4)]
    for number, photo in enumerate(photos):
        write(tmp_path / f"{number}.jpg", optimised(photo))
    write(tmp_path / "coded.jpg", optimised(photos[0], optimize=True))
    write(tmp_path / "progressive.jpg", optimised(photos[1], progressive=True))
    write(tmp_path / "decoded.png", encode_png(decode(optimised(photos[2]))))
    write(tmp_path / "bytes.jpg", optimised(photos[3]))
    found = kinds(clean_folder(tmp_path, ALL, dry_run=True))
    assert sorted(found.values()) == ["same bytes", "same pixels", "same pixels", "same pixels"]


def test_the_same_pixels_are_found_in_blank_pictures(tmp_path: Path) -> None:
    for level in (10, 200):
        blank = np.full((64, 80, 3), level, np.uint8)
        write(tmp_path / f"{level}.jpg", encode_jpeg(blank, quality=90))
        write(tmp_path / f"{level}.png", encode_png(decode(encode_jpeg(blank, quality=90))))
    assert set(kinds(clean_folder(tmp_path, ALL, dry_run=True)).values()) == {"same pixels"}


def test_a_clean_with_a_cache_says_what_one_without_does(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", optimised(picture(0)))
    write(tmp_path / "b.jpg", optimised(picture(0), optimize=True))
    write(tmp_path / "c.jpg", optimised(picture(1)))
    assert list(kinds(clean_folder(tmp_path, ALL)).values()) == ["same pixels"]
    undo_clean(tmp_path)
    for policy in (ALL, CleanPolicy(max_remove=1, near=False), ALL):
        assert list(kinds(clean_folder(tmp_path, policy, dry_run=True)).values()) == ["same pixels"]
        clean_folder(tmp_path, policy)
        undo_clean(tmp_path)


def test_the_same_pixels_are_found_among_references(tmp_path: Path) -> None:
    write(tmp_path / "known" / "a.jpg", optimised(picture(0)))
    write(tmp_path / "known" / "b.png", encode_png(decode(optimised(picture(2)))))
    write(tmp_path / "new" / "a.jpg", optimised(picture(0), optimize=True))
    write(tmp_path / "new" / "b.jpg", optimised(picture(2)))
    write(tmp_path / "new" / "c.jpg", optimised(picture(1)))
    for index in (None, tmp_path / "known.faceaug-index", tmp_path / "known.faceaug-index"):
        report = clean_folder(tmp_path / "new", ALL, against=tmp_path / "known", index=index, dry_run=index is None)
        assert kinds(report) == {"a.jpg": "same pixels", "b.jpg": "same pixels"}
        if report.run:
            undo_clean(tmp_path / "new")
    for near in (True, False):
        shared = find_leaks(tmp_path / "known", tmp_path / "new", near=near)
        assert [leak.tier for leak in shared] == ["same pixels", "same pixels"]
    report = clean_folder(tmp_path / "new", CleanPolicy(max_remove=1, near=False), against=tmp_path / "known")
    assert kinds(report) == {"a.jpg": "same pixels", "b.jpg": "same pixels"}
    assert (report.thresholds, len(report.hashes)) == (None, 0)


def test_of_two_copies_that_nothing_else_tells_apart_the_sharper_stays(tmp_path: Path) -> None:
    import cv2

    image = picture(1)
    write(tmp_path / "a.jpg", encode_jpeg(cv2.GaussianBlur(image, (0, 0), 0.6)))
    write(tmp_path / "b.jpg", encode_jpeg(image))
    assert list(kinds(clean_folder(tmp_path, ALL, dry_run=True))) == ["a.jpg"]


def test_hashes_are_those_of_the_file_wherever_it_has_been_moved(tmp_path: Path) -> None:
    write(tmp_path / "000001.jpg", optimised(picture(0)))
    write(tmp_path / "000002.jpg", optimised(picture(0)))
    write(tmp_path / "000003.JPG", optimised(picture(2)))
    report = clean_folder(tmp_path, ALL)
    assert [rename.old for rename in report.renames] == ["000003.JPG"]
    expected = {name: hash_object(phash_words(decode(optimised(picture(k))))) for name, k in
                (("000001.jpg", 0), ("000002.jpg", 0), ("000003.JPG", 2))}  # fmt: skip
    assert dict(report.hashes) == expected
    undo_clean(tmp_path)
    assert dict(report.hashes) == expected


def test_a_hash_of_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / f"{number}.jpg", optimised(picture(number)))
    report = clean_folder(tmp_path, ALL)
    write(tmp_path / "0.jpg", optimised(picture(5)))
    (tmp_path / "1.jpg").rename(tmp_path / "elsewhere.jpg")
    for name in ("0.jpg", "1.jpg"):
        with pytest.raises(ImageError, match="has changed since the report was made, or is gone"):
            report.hashes[name]
    with pytest.raises(KeyError):
        report.hashes["2.jpg"]

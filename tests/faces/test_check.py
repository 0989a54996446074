from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from faceaug.data.image import encode_png
from faceaug.errors import ArgumentError, RefusedError
from faceaug.faces.check import AlignmentCheck, check_alignment, check_pictures
from faceaug.faces.framing import compare_templates, measure_squeeze
from faceaug.faces.templates import MEAN_FACE, TEMPLATES, Template, move_points, place_face, template_size
from tests.faces.stand_in import GivenFace, GivenFinder, digest

Points = NDArray[np.float64]


def people(n: int = 60, *, seed: int = 0) -> list[Points]:
    """Landmarks of n people in photos of their own: of other shapes, sizes and turns."""
    draws = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        shape = (MEAN_FACE - MEAN_FACE.mean(axis=0)) * draws.normal(1, 0.05, 2) + draws.normal(0, 1, (5, 2))
        turn = math.radians(draws.normal(0, 15))
        scale = draws.uniform(0.8, 3)
        rotation = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        found.append(shape @ rotation.T + draws.uniform(200, 300, 2))
    return found


def aligned_like(template: Template, faces: Sequence[Points]) -> list[Points]:
    return [move_points(place_face(template, face), face) for face in faces]


@dataclass(frozen=True)
class Numbered:
    """Finds the faces of pictures that are filled with their number, also where these were stretched.

    Like real networks it takes faces for less squeezed than they are: by three quarters.
    """

    faces: Sequence[Points]
    sizes: Sequence[tuple[int, int]]

    def find(self, image: NDArray[np.uint8]) -> tuple[GivenFace, ...]:
        k = int(image[0, 0, 0])
        stretch = np.array(image.shape[1::-1]) / self.sizes[k]
        face = (self.faces[k] + 0.5) * stretch - 0.5
        middle = face.mean(axis=0)
        squeeze = measure_squeeze(np.array(self.faces)) * stretch[0] / stretch[1]
        face = middle + (face - middle) * (1, squeeze**0.25)
        return (GivenFace((0, 0, 1, 1), face.astype(np.float32)),)


def check(faces: Sequence[Points], size: tuple[int, int] | Sequence[tuple[int, int]]) -> AlignmentCheck:
    """Check faces whose landmarks are read with an error of 3 % of the distance of the eyes."""
    draws = np.random.default_rng(1)
    sizes = [size] * len(faces) if isinstance(size, tuple) else size
    images = [np.full((height, width, 3), k, np.uint8) for k, (width, height) in enumerate(sizes)]
    read = [face + draws.normal(0, 0.03 * np.hypot(*(face[1] - face[0])), face.shape) for face in faces]
    return check_pictures(images, finder=Numbered(read, sizes))


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_template_that_aligned_a_set_is_named(template: Template) -> None:
    found = check(aligned_like(template, people()), template_size(template))
    assert found.template == template
    assert found.aligned
    assert not found.squeezed
    best = found.framings[0]
    assert best.distance < 0.05
    assert best.scale == pytest.approx(1, abs=0.03)
    assert max(abs(best.right), abs(best.down)) < 0.02
    assert f"aligned like {template}, true in shape" in found.summary()


def test_a_whole_template_squeezed_into_a_square_is_named_with_its_squeeze() -> None:
    faces = [(face + 0.5) * (64 / 178, 64 / 218) - 0.5 for face in aligned_like("celeba", people())]
    found = check(faces, (64, 64))
    assert found.template == "celeba"
    assert found.squeeze == pytest.approx(218 / 178, rel=0.04)
    assert "the whole 178x218 squeezed into 64x64" in found.verdict()
    assert "faces are 1.2" in found.verdict()
    assert found.advice() != []


def test_faces_that_were_squeezed_before_they_were_aligned_are_still_squeezed() -> None:
    squeezed = [face * (1.24, 1) for face in people()]
    found = check(aligned_like("celeba-square", squeezed), (178, 178))
    assert (found.template, found.squeezed) == ("celeba-square", True)
    assert "the whole" not in found.verdict()


def test_the_small_centre_square_is_true_in_shape() -> None:
    faces = [(face + 0.5) * 64 / 178 - 0.5 for face in aligned_like("celeba-square", people())]
    found = check(faces, (64, 64))
    assert (found.template, found.squeezed) == ("celeba-square", False)


def test_loose_crops_of_many_sizes_are_still_like_their_template() -> None:
    draws = np.random.default_rng(3)
    faces, sizes = [], []
    for face in aligned_like("celeba", people()):
        top = draws.uniform(28, 40)
        sizes.append((200, round((218 - top) * 200 / 178)))
        faces.append((face + 0.5 - (0, top)) * 200 / 178 - 0.5)
    found = check(faces, sizes)
    assert found.template == "celeba"
    assert not found.squeezed
    assert "loosely cropped" in found.verdict()


def test_photos_are_not_aligned() -> None:
    found = check(people(), (600, 600))
    assert not found.aligned
    assert found.template is None
    assert "faceaug align FOLDER --out OUT aligns them" in found.summary()


def test_faces_of_another_framing_are_like_none() -> None:
    faces = [face * 0.5 + 45 for face in aligned_like("celeba-square", people())]
    found = check(faces, (178, 178))
    assert found.aligned
    assert found.template is None
    assert "aligned by none of the templates" in found.verdict()


@pytest.mark.parametrize("template", ["celeba", "ffhq"])
def test_the_rule_that_aligned_a_set_leaves_the_least_to_do(template: Template) -> None:
    found = check(aligned_like(template, people(200)), template_size(template))
    spread = {framing.template: framing.spread for framing in found.framings}
    assert min(spread, key=spread.__getitem__) in {template, f"{template}-square"}


def test_pictures_of_different_sizes_leave_as_little_to_do_as_of_one() -> None:
    faces = np.array(aligned_like("ffhq", people(200)))
    width, height = template_size("ffhq")
    sizes = np.tile([[width, height]], (len(faces), 1))
    factors = np.where(np.arange(len(faces)) % 3 == 0, 0.5, 1.0)
    mixed = (faces + 0.5) * factors[:, None, None] - 0.5
    alike = compare_templates(faces, sizes, 1.0)
    found = compare_templates(mixed, (sizes * factors[:, None]).astype(np.int64), 1.0)
    assert [one.template for one in found] == [one.template for one in alike]
    assert [one.spread for one in found] == pytest.approx([one.spread for one in alike], rel=0.02)


def test_the_document_has_everything() -> None:
    found = check(aligned_like("arcface", people()), (112, 112))
    document = found.to_json()
    assert document["template"] == "arcface"
    assert document["size"] == "112x112"
    assert document["folder"] is None
    assert {item["template"] for item in document["templates"]} == set(TEMPLATES)
    assert "arcface" in repr(found)


def test_a_folder_is_checked_by_a_sample(tmp_path: Path) -> None:
    known = {}
    (tmp_path / "faces").mkdir()
    for k, face in enumerate(aligned_like("arcface", people(30))):
        image = np.full((112, 112, 3), k, np.uint8)
        (tmp_path / "faces" / f"{k:02d}.png").write_bytes(encode_png(image))
        known[digest(image)] = (GivenFace((0, 0, 1, 1), face.astype(np.float32)),)
    (tmp_path / "faces" / "torn.png").write_bytes(b"torn")
    found = check_alignment(tmp_path / "faces", sample=20, finder=GivenFinder(known), progress=False)
    assert found.folder == tmp_path / "faces"
    assert found.pictures == 20
    assert found.faces in {19, 20}
    assert found.template == "arcface"
    with pytest.raises(ArgumentError, match="sample=0"):
        check_alignment(tmp_path / "faces", sample=0)
    with pytest.raises(RefusedError, match="a face was found in 0 of 20; a check needs 5"):
        check_alignment(tmp_path / "faces", sample=20, finder=GivenFinder({}), progress=False)

"""Guided edits, on the bundled conditional model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faceaug import SyntheticFaceSource
from faceaug.data.annotations import ATTRIBUTES, attribute_index
from faceaug.errors import ArgumentError
from faceaug.synthesize.classifier import load_classifier
from faceaug.synthesize.editing import _FAST_BLOCK, target_logits

WEAK = ("High_Cheekbones", "Young", "Bags_Under_Eyes", "Big_Lips")  # what the generator alone seldom changes
N = 4


@pytest.fixture(scope="module")
def source() -> SyntheticFaceSource:
    return SyntheticFaceSource("faces-64", seed=1)


def test_a_guided_edit_shows_more_often_and_keeps_the_other_attributes(source: SyntheticFaceSource) -> None:
    classifier = load_classifier()
    before = classifier.probabilities(source.generate(N))
    told = source.attribute_rows(N)
    shown: dict[bool, list[bool]] = {True: [], False: []}
    moved: dict[bool, list[float]] = {True: [], False: []}
    for name in WEAK:
        column = attribute_index(name)
        for guided in (True, False):
            faces = source.edit(range(N), name, guided=guided)
            shown[guided] += ((classifier.logits(faces)[:, column] > 0) == (told[:, column] <= 0)).tolist()
            others = np.delete(np.abs(classifier.probabilities(faces) - before), column, axis=1)
            moved[guided].append(float(others.mean()))
    assert np.mean(shown[True]) >= 0.9
    assert np.mean(shown[True]) > np.mean(shown[False])
    assert np.mean(moved[True]) < 0.1


def test_an_edit_reaches_the_confidence_that_the_classifier_has_for_real_faces(source: SyntheticFaceSource) -> None:
    classifier = load_classifier()
    sure = {}
    for name in ("Smiling", "Oval_Face"):
        column = attribute_index(name)
        wanted = np.where(source.attribute_rows(N)[:, column] > 0, -1, 1)
        sure[name] = float((classifier.logits(source.edit(range(N), name))[:, column] * wanted).mean())
    assert sure["Smiling"] > sure["Oval_Face"] + 1


def test_a_classifier_that_guesses_is_content_sooner_and_one_that_knows_has_a_limit() -> None:
    rising = target_logits(torch.tensor([0.5, 0.6, 0.85, 0.91, 0.97, 1.0])).tolist()
    assert rising == sorted(rising)
    # Two normal distributions that 91 % of both sides tell apart: means 2 x 1.341 standard deviations apart.
    assert rising[3] == pytest.approx(2 * 1.3408**2, abs=0.01)
    assert (rising[0], rising[-1]) == (1.5, 4.0)


def test_a_guided_edit_stays_near_the_numbers_the_face_is_made_from(source: SyntheticFaceSource) -> None:
    size = source.config.z_size
    before = source.latents(N)
    after = source.edited_latents(range(N), "Smiling")
    assert after.shape == (N, size + len(ATTRIBUTES))
    way = (after - before)[:, :size].norm(dim=1)
    assert (way > 0).all()
    assert (way < before[:, :size].norm(dim=1) / 2).all()
    assert torch.equal(source.render(after), source.edit(range(N), "Smiling"))
    assert torch.equal(before, source.latents(N))


def test_an_edited_face_does_not_depend_on_its_company_or_on_how_it_was_named(source: SyntheticFaceSource) -> None:
    together = source.edit([2, 7, 1], "Young", -1)
    assert torch.equal(source.edit(7, "Young", -1), together[1:2])
    assert torch.equal(source.edit(source.latents(1, start=1), "Young", -1), together[2:])


def test_an_edit_can_be_edited_further(source: SyntheticFaceSource) -> None:
    classifier = load_classifier()
    bald = source.edited_latents(range(N), "Bald", 1)
    both = classifier.logits(source.edit(bald, "Eyeglasses", 1))
    columns = [attribute_index("Bald"), attribute_index("Eyeglasses")]
    assert (both[:, columns] > 0).mean() >= 0.75


def test_value_zero_needs_no_classifier(source: SyntheticFaceSource) -> None:
    assert torch.equal(source.edit(0, "Smiling", 0), source.edit(0, "Smiling", 0, guided=False))


def test_bf16_takes_another_way_to_an_edit_that_shows_as_well(source: SyntheticFaceSource) -> None:
    fast = SyntheticFaceSource("faces-64", seed=1, precision="bf16")
    seen = load_classifier().logits(fast.edit(range(N), "Blond_Hair", 1))[:, attribute_index("Blond_Hair")]
    assert (seen > 0).mean() >= 0.75
    moved = (fast.edit(range(N), "Blond_Hair", 1).float() - source.generate(N).float()).abs().mean()
    assert 0 < moved < 40


def test_latents_of_another_width_are_refused(source: SyntheticFaceSource) -> None:
    with pytest.raises(ArgumentError, match=r"latents of shape \(1, 100\): expected \(n, 168\)"):
        source.edit(torch.zeros(1, 100), "Smiling")


def test_whole_blocks_are_edited(source: SyntheticFaceSource) -> None:
    quick = SyntheticFaceSource("faces-64", seed=1, precision="bf16")
    many = quick.edit(range(_FAST_BLOCK + 1), "Male")
    assert torch.equal(many[-1:], quick.edit(_FAST_BLOCK, "Male"))

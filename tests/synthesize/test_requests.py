from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from faceaug.data.annotations import ATTRIBUTES
from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError, RefusedError, WeightsError
from faceaug.synthesize import SyntheticFaceSource, load_model
from faceaug.synthesize.render import between
from faceaug.synthesize.requests import AttributeRequest, named_attributes, parse_attributes
from faceaug.synthesize.toggles import toggle_sheet, write_toggles
from faceaug.synthesize.weights import DEFAULT_MODEL, default_model

GLASSES, MALE = ATTRIBUTES.index("Eyeglasses"), ATTRIBUTES.index("Male")
WANTED = {"Eyeglasses": 1, "Male": -1}


@pytest.fixture(scope="module")
def source(conditional_model: Path) -> SyntheticFaceSource:
    return SyntheticFaceSource(conditional_model, n=200, seed=3, attributes=WANTED)


def test_names_become_a_row_and_back() -> None:
    row = parse_attributes({"Eyeglasses": 1, "Male": -1, "Young": 0})
    assert row.tolist() == [int(k == GLASSES) - int(k == MALE) for k in range(40)]
    assert not parse_attributes(None).any()
    assert named_attributes(["Eyeglasses"], ["Male"]) == WANTED


@pytest.mark.parametrize("value", [2, -2, 0.5, "yes", None])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match="attribute Male: value .*; expected 1"):
        parse_attributes({"Male": value})


def test_an_attribute_cannot_be_there_and_not_there() -> None:
    with pytest.raises(ArgumentError, match="attribute Male: requested both with and without"):
        named_attributes(["Male", "Young"], ["Male"])


def test_unspecified_attributes_come_from_a_matching_real_row(conditional_model: Path) -> None:
    rows = load_model(conditional_model).rows
    assert rows is not None
    fitting = {row.tobytes() for row in rows if row[GLASSES] == 1}
    found = AttributeRequest(parse_attributes({"Eyeglasses": 1}), rows, 0).rows(0, 100)
    assert {row.tobytes() for row in found} <= fitting
    assert len({row.tobytes() for row in found}) > len(fitting) / 2
    strange = dict.fromkeys(ATTRIBUTES, 1)  # nobody has all forty
    assert (AttributeRequest(parse_attributes(strange), rows, 0).rows(0, 5) == 1).all()


def test_the_attributes_of_a_face_depend_only_on_seed_and_number(conditional_model: Path) -> None:
    rows = load_model(conditional_model).rows
    wish = AttributeRequest(parse_attributes(WANTED), rows, 5)
    assert (wish.rows(0, 30)[20:] == wish.rows(20, 10)).all()
    assert (wish.rows(0, 30) != AttributeRequest(wish.asked, rows, 6).rows(0, 30)).any()


def test_free_faces_are_given_only_the_requested_attributes(conditional_model: Path) -> None:
    free = SyntheticFaceSource(conditional_model, attributes=WANTED, unasked="free")
    assert (free.attribute_rows(5) == parse_attributes(WANTED)).all()
    assert not SyntheticFaceSource(conditional_model, unasked="free").attribute_rows(5).any()


def test_kept_attributes_are_those_of_the_face_without_any_request(conditional_model: Path) -> None:
    kept = SyntheticFaceSource(conditional_model, seed=4, attributes=WANTED, unasked="kept")
    plain = SyntheticFaceSource(conditional_model, seed=4).attribute_rows(50)
    rows = kept.attribute_rows(50)
    assert (rows[:, GLASSES] == 1).all()
    assert (rows[:, MALE] == -1).all()
    others = np.delete(np.arange(40), [GLASSES, MALE])
    assert (rows[:, others] == plain[:, others]).all()
    assert torch.equal(
        SyntheticFaceSource(conditional_model, seed=4, attributes={"Eyeglasses": -1}, unasked="kept").generate(3),
        SyntheticFaceSource(conditional_model, seed=4).edit([0, 1, 2], "Eyeglasses", -1, guided=False),
    )


def test_the_target_holds_the_attributes_given_to_the_face(source: SyntheticFaceSource) -> None:
    rows = source.attribute_rows(200)
    assert (rows[:, GLASSES] == 1).all()
    assert (rows[:, MALE] == -1).all()
    face, target = source[150]
    assert torch.equal(face, source.generate(1, start=150)[0])
    assert (np.asarray(target["attributes"]) == rows[150]).all()
    _, batch = next(iter(DataLoader(source, batch_size=4)))  # type: ignore[arg-type]
    assert batch["attributes"].shape == (4, 40)


@given(start=st.integers(0, 130), n=st.integers(1, 70))
@settings(max_examples=15, deadline=None)
def test_face_k_with_its_row_does_not_depend_on_the_call(conditional_model: Path, start: int, n: int) -> None:
    source = SyntheticFaceSource(conditional_model, seed=3)
    rows = np.random.default_rng(1).integers(-1, 2, (200, 40))
    whole = source.generate(200, attributes=rows)
    assert torch.equal(source.generate(n, attributes=rows[start : start + n], start=start), whole[start : start + n])


def test_names_rows_and_the_source_s_own_attributes_are_three_ways_to_the_same_faces(
    source: SyntheticFaceSource, conditional_model: Path
) -> None:
    faces = source.generate(70)
    plain = SyntheticFaceSource(conditional_model, seed=3)
    assert torch.equal(plain.generate(70, attributes=WANTED), faces)
    assert torch.equal(plain.generate(70, attributes=source.attribute_rows(70)), faces)
    assert torch.equal(source.render(source.latents(64)), faces[:64])
    assert not torch.equal(plain.generate(70), faces)
    assert torch.equal(source.generate(70), faces)  # what was asked for once changes nothing for later


def test_rows_of_another_shape_or_with_other_numbers_are_refused(source: SyntheticFaceSource) -> None:
    with pytest.raises(ArgumentError, match=r"attributes of shape \(3, 40\): expected .*\(4, 40\)"):
        source.generate(4, attributes=np.zeros((3, 40), np.int8))
    with pytest.raises(ArgumentError, match="only the numbers -1, 0 and 1"):
        source.generate(1, attributes=np.full((1, 40), 2))


def test_strength_exaggerates_only_the_requested_attributes(conditional_model: Path) -> None:
    neutral, strong = (
        SyntheticFaceSource(conditional_model, seed=3, attributes=WANTED, strength=s).latents(8)[:, 12:]
        for s in (1.0, 2.0)
    )
    assert torch.equal(strong[:, [GLASSES, MALE]], 2 * neutral[:, [GLASSES, MALE]])
    others = [k for k in range(40) if k not in (GLASSES, MALE)]
    assert torch.equal(strong[:, others], neutral[:, others])
    for strength in (-0.5, 4.5, float("nan")):
        with pytest.raises(ArgumentError, match="strength"):
            SyntheticFaceSource(conditional_model, strength=strength)


def test_an_unguided_edit_tells_the_generator_another_value_of_one_attribute(source: SyntheticFaceSource) -> None:
    latents = source.latents(3)
    edited = latents.clone()
    edited[:, 12 + GLASSES] = -1
    expected = source.render(edited)
    off = source.edit([0, 1, 2], "Eyeglasses", guided=False)  # they wear glasses, so these are taken off
    assert torch.equal(off, expected)
    assert torch.equal(source.edit(latents, "Eyeglasses", -1, guided=False), expected)
    assert torch.equal(source.edit(1, "Eyeglasses", 1, guided=False), source.render(latents[1:2]))
    assert not torch.equal(expected, source.render(latents))
    assert torch.equal(latents, source.latents(3))


def test_edit_without_attributes_or_with_an_unknown_one_is_refused(source: SyntheticFaceSource) -> None:
    with pytest.raises(ArgumentError, match="takes no attributes"):
        SyntheticFaceSource("dcgan-32").edit(0, "Smiling")
    with pytest.raises(ArgumentError, match="'Smile'.*Smiling"):
        source.edit(0, "Smile")


def test_the_way_between_two_faces_leads_straight_through_their_attributes(source: SyntheticFaceSource) -> None:
    a, b = source.latents(2)
    way = between(a, b, 5, "normal", z_size=12)
    assert torch.equal(way[0], a)
    assert torch.equal(way[-1], b)
    torch.testing.assert_close(way[2, 12:], (a[12:] + b[12:]) / 2)
    assert source.interpolate(0, 1, 5).shape == (5, 3, 32, 32)


def test_bf16_is_the_same_face_but_for_some_levels(source: SyntheticFaceSource, conditional_model: Path) -> None:
    fast = SyntheticFaceSource(conditional_model, seed=3, attributes=WANTED, precision="bf16").generate(64)
    assert (fast.float() - source.generate(64).float()).abs().mean() < 2


def test_files_record_the_requested_attributes(source: SyntheticFaceSource, tmp_path: Path) -> None:
    source.save(tmp_path / "out", 5)
    with (tmp_path / "out" / "metadata.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["requested_Eyeglasses"], row["requested_Male"]) for row in rows] == [("1", "-1")] * 5
    document = json.loads((tmp_path / "out" / "dataset.json").read_bytes())["run"]
    assert (document["attributes"], document["strength"], document["unasked"]) == (WANTED, 1.0, "typical")
    with Image.open(tmp_path / "out" / "000003.png") as picture:
        assert picture.info["attributes"] == "Eyeglasses:1,Male:-1"
    assert (FaceFolder(tmp_path / "out").annotations.attributes == source.attribute_rows(5)).all()
    source.save(tmp_path / "tar", 3, format="webdataset")


def test_a_saved_copy_of_the_model_makes_the_same_faces(source: SyntheticFaceSource, tmp_path: Path) -> None:
    config = source.save_pretrained(tmp_path / "copy")
    again = SyntheticFaceSource.from_pretrained(tmp_path / "copy", seed=3, attributes=WANTED)
    assert again.config == config
    assert torch.equal(again.generate(4), source.generate(4))
    card = (tmp_path / "copy" / "README.md").read_text()
    assert "obeys forty attributes" in card


def test_the_sheet_has_a_row_for_each_attribute(source: SyntheticFaceSource, tmp_path: Path) -> None:
    sheet = toggle_sheet(source, 2, attributes=["Smiling", "Male"], cell=32)
    assert sheet.shape[0] == 20 + 3 * 36
    (tmp_path / "mine.png").write_bytes(b"mine")
    with pytest.raises(RefusedError, match="exists and is not a contact sheet of faceaug synth --toggles"):
        write_toggles(source, tmp_path / "mine.png", 1)
    write_toggles(source, tmp_path / "sheet.png", 1)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size[1] == 20 + 41 * 68
    with pytest.raises(ArgumentError, match="n 0"):
        toggle_sheet(source, 0)


def test_a_damaged_config_or_table_is_refused(conditional_model: Path, tmp_path: Path) -> None:
    for change in ({"attributes": ["Smiling"]}, {"embedding": 0}, {"architecture": "dcgan"}, {"attributes": None}):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for path in conditional_model.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        facts = json.loads((folder / "config.json").read_bytes()) | change
        (folder / "config.json").write_text(json.dumps(facts))
        with pytest.raises(WeightsError, match=r"config\.json"):
            load_model(folder)


def test_the_default_model_is_the_smallest_that_is_large_enough() -> None:
    assert default_model() == default_model(attributes={"Male": 1}) == DEFAULT_MODEL == "faces-64"
    assert [default_model(size=size) for size in (8, 32, 33, 64)] == ["dcgan-32", "dcgan-32", "faces-64", "faces-64"]
    assert default_model(attributes={"Male": 1}, size=32) == "faces-64"
    assert SyntheticFaceSource(seed=1).config.name == load_model().config.name == "faces-64"
    with pytest.raises(ArgumentError, match=r"largest faces of a bundled model have 64x64 pixels .* 65 were requested"):
        default_model(size=65)


def test_without_a_conditional_bundled_model_faces_are_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    from faceaug.synthesize import weights

    monkeypatch.setattr(weights, "BUNDLED", {"dcgan-32": "", "dcgan-32-report": ""})
    assert default_model(attributes={"Male": 1}) == default_model(attributes=True, size=20) == "dcgan-32"
    assert default_model() in weights.BUNDLED

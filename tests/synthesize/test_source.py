from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png
from faceaug.data.marks import synthetic_text
from faceaug.errors import ArgumentError, RefusedError
from faceaug.synthesize import SyntheticFaceSource, load_model, save_model


@pytest.fixture(scope="module")
def source() -> SyntheticFaceSource:
    return SyntheticFaceSource("dcgan-32", n=300, seed=3)


def test_faces_are_uint8_pictures_that_differ(source: SyntheticFaceSource) -> None:
    faces = source.generate(100)
    assert faces.shape == (100, 3, 32, 32)
    assert faces.dtype == torch.uint8
    assert len({face.numpy().tobytes() for face in faces}) == 100
    assert faces.float().std(dim=(1, 2, 3)).min() > 10


@given(start=st.integers(0, 200), n=st.integers(1, 130))
@settings(max_examples=25, deadline=None)
def test_face_k_does_not_depend_on_the_call(start: int, n: int) -> None:
    source = SyntheticFaceSource("dcgan-32", seed=3)
    assert torch.equal(
        source.generate(n, start=start), SyntheticFaceSource("dcgan-32", seed=3).generate(start + n)[start:]
    )


def test_face_k_does_not_depend_on_threads(source: SyntheticFaceSource) -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(SyntheticFaceSource("dcgan-32", seed=3).generate(130))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_another_seed_gives_other_faces(source: SyntheticFaceSource) -> None:
    assert not torch.equal(source.generate(4), SyntheticFaceSource("dcgan-32", seed=4).generate(4))


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_a_data_loader_gives_the_same_faces_for_any_number_of_workers(
    source: SyntheticFaceSource, workers: int
) -> None:
    loader = DataLoader(source, batch_size=50, num_workers=workers)
    batches = list(loader)
    assert torch.equal(torch.cat([faces for faces, _ in batches]), source.generate(300))
    target = batches[0][1]
    assert target["origin"].tolist() == [2] * 50
    assert target["partition"].tolist() == [0] * 50
    assert target["attributes"].shape == (50, 40)
    assert target["landmarks"].isnan().all()
    assert not target["visible"].any()


def test_indices_behave_as_those_of_a_sequence(source: SyntheticFaceSource) -> None:
    assert torch.equal(source[-1][0], source[299][0])
    assert len(source) == 300
    with pytest.raises(IndexError):
        source[300]


def test_generating_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    SyntheticFaceSource("dcgan-32", seed=9).generate(3)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_saved_files_carry_their_provenance_and_read_back_pixel_for_pixel(
    source: SyntheticFaceSource, tmp_path: Path
) -> None:
    report = source.save(tmp_path / "out", 70)
    assert report.faces == 70
    folder = FaceFolder(tmp_path / "out")
    assert len(folder) == 70
    faces = source.generate(70).permute(0, 2, 3, 1).numpy()
    for k in range(70):
        image, target = folder[k]
        assert np.array_equal(image, faces[k])
        assert target["origin"] == 2
        assert target["partition"] == 0
    with Image.open(tmp_path / "out" / "000069.png") as picture:
        text = picture.text  # type: ignore[attr-defined]
    assert text == {"synthetic": "true", "model": "dcgan-32", "seed": "3", "key": "69"}
    table = (tmp_path / "out" / "metadata.csv").read_text().splitlines()
    digest = hashlib.sha256((tmp_path / "out" / "000000.png").read_bytes()).hexdigest()
    assert table[1].startswith("000000.png,synthetic,,dcgan-32,3,0,")
    assert table[1].endswith(digest)


def test_an_interrupted_save_continues_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    source = SyntheticFaceSource("dcgan-32", seed=1)
    source.save(whole, 600)

    class StopError(Exception):
        pass

    def stop(_: str, done: int, *__: object) -> None:
        if done == 512:
            raise StopError

    with pytest.raises(StopError):
        source.save(cut, 600, progress=stop)
    assert len((cut / "metadata.csv").read_text().splitlines()) == 1, "the head alone"
    untouched = (cut / "000000.png").stat().st_mtime_ns
    SyntheticFaceSource("dcgan-32", seed=1).save(cut, 600)
    assert (cut / "000000.png").stat().st_mtime_ns == untouched
    names = sorted(p.name for p in whole.iterdir())
    assert names == sorted(p.name for p in cut.iterdir())
    assert all((whole / n).read_bytes() == (cut / n).read_bytes() for n in names)


@pytest.mark.parametrize("format", ["png", "webdataset"])
def test_files_that_are_not_as_they_were_written_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Any
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    source = SyntheticFaceSource("dcgan-32", seed=1)
    source.save(whole, 70, format=format)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("faceaug.storage.ledger.Ledger.remove", stop)
        with pytest.raises(KeyboardInterrupt):
            source.save(cut, 70, format=format)
    if format == "png":
        for k in (0, 1, 33, 69):
            (cut / f"{k:06d}.png").write_bytes(b"")
    else:
        (cut / "000000.tar").write_bytes((cut / "000000.tar").read_bytes()[:-512] + bytes([1]) * 512)
    source.save(cut, 70, format=format)
    assert {p.name: p.read_bytes() for p in cut.iterdir()} == {p.name: p.read_bytes() for p in whole.iterdir()}


def test_a_stopped_run_needs_only_the_space_for_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("faceaug.storage.files.check_free_space", lambda _, needed: asked.append(needed))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("faceaug.storage.ledger.Ledger.remove", stop)
        with pytest.raises(KeyboardInterrupt):
            SyntheticFaceSource("dcgan-32").save(tmp_path / "out", 3)
    SyntheticFaceSource("dcgan-32").save(tmp_path / "out", 3)
    assert asked[1] < asked[0]


def test_a_face_that_was_rounded_otherwise_is_made_again_and_another_one_stays(tmp_path: Path) -> None:
    source = SyntheticFaceSource("dcgan-32", seed=1)
    source.save(tmp_path / "out", 3)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    document = json.loads(whole["dataset.json"])

    def stopped(name: str, data: bytes) -> None:
        (tmp_path / "out" / "dataset.json").write_text(json.dumps({"run": document["run"], "finished": False}))
        (tmp_path / "out" / name).write_bytes(data)

    first = source.pictures(1, 1)[0]
    stopped("000001.png", encode_png(first ^ 1, text=synthetic_text("dcgan-32", 1, 1)))
    source.save(tmp_path / "out", 3)
    assert (tmp_path / "out" / "000001.png").read_bytes() == whole["000001.png"]
    other = encode_png(first, text=synthetic_text("dcgan-32", 1, 2))
    stopped("000001.png", other)
    with pytest.raises(RefusedError, match=r"000001\.png: is not what this run writes there"):
        source.save(tmp_path / "out", 3)
    assert (tmp_path / "out" / "000001.png").read_bytes() == other


def test_a_stopped_run_is_not_continued_with_another_config_of_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model("dcgan-32")
    save_model(tmp_path / "model", model.generator, model.config)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("faceaug.storage.ledger.Ledger.remove", stop)
        with pytest.raises(KeyboardInterrupt):
            SyntheticFaceSource(tmp_path / "model").save(tmp_path / "out", 3)
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_bytes())
    path.write_text(json.dumps(config | {"latent": "uniform"}))
    with pytest.raises(RefusedError, match="was stopped .*its model config changed since"):
        SyntheticFaceSource(tmp_path / "model").save(tmp_path / "out", 3)
    path.write_text(json.dumps(config | {"license": "mine"}))
    SyntheticFaceSource(tmp_path / "model").save(tmp_path / "out", 3)


def test_another_run_or_other_files_in_the_way_are_refused(tmp_path: Path) -> None:
    source = SyntheticFaceSource("dcgan-32", seed=1)
    source.save(tmp_path / "done", 3)
    with pytest.raises(RefusedError, match="finished run"):
        source.save(tmp_path / "done", 3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("mine")
    with pytest.raises(RefusedError, match="not empty"):
        source.save(tmp_path / "full", 3)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["diary.txt"]


def test_jpeg_files_are_close_to_the_faces(source: SyntheticFaceSource, tmp_path: Path) -> None:
    source.save(tmp_path / "out", 5, format="jpg")
    image, _ = FaceFolder(tmp_path / "out")[4]
    expected = source.generate(5)[4].permute(1, 2, 0).numpy()
    assert np.abs(image.astype(int) - expected).mean() < 4


def test_webdataset_shards_hold_a_picture_and_a_json_for_every_face(
    source: SyntheticFaceSource, tmp_path: Path
) -> None:
    report = source.save(tmp_path / "out", 1003, format="webdataset")
    assert report.files == 2
    with tarfile.open(tmp_path / "out" / "000001.tar") as tar:
        names = tar.getnames()
        facts = json.loads(tar.extractfile("000001002.json").read())  # type: ignore[union-attr]
        picture = np.asarray(Image.open(io.BytesIO(tar.extractfile("000001002.png").read())))  # type: ignore[union-attr]
    assert names == [f"{k:09d}.{e}" for k in (1000, 1001, 1002) for e in ("png", "json")]
    assert facts["key"] == 1002
    assert facts["synthetic"] is True
    assert np.array_equal(picture, source.generate(1, start=1002)[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("n", [0, -3])
def test_fewer_than_one_face_is_refused(n: int) -> None:
    with pytest.raises(ArgumentError, match=f"n {n}"):
        SyntheticFaceSource("dcgan-32", n=n)


def test_an_unknown_attribute_is_answered_with_the_forty() -> None:
    with pytest.raises(ArgumentError, match=r"'Beautiful'.*5_o_Clock_Shadow.*Young"):
        SyntheticFaceSource(attributes={"Beautiful": 1})


def test_a_contact_sheet_shows_the_first_faces(source: SyntheticFaceSource, tmp_path: Path) -> None:
    path = tmp_path / "new" / "sheet.png"
    source.save_grid(path, 20)
    with Image.open(path) as sheet:
        assert sheet.size == (10 * 65 - 1, 2 * 65 - 1)
    source.save_grid(path, 3)
    path.write_bytes(b"mine")
    with pytest.raises(RefusedError, match="exists and is not a contact sheet of faceaug synth --grid"):
        source.save_grid(path, 3)
    assert path.read_bytes() == b"mine"
    source.save_grid(path, 3, overwrite=True)
    with pytest.raises(ArgumentError, match=r"sheet.jpg: expected a name that ends in .png"):
        source.save_grid(tmp_path / "sheet.jpg", 3)

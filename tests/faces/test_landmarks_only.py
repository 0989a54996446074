from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceaug.data.folder import FaceFolder
from faceaug.errors import AnnotationError, ArgumentError, RefusedError
from faceaug.faces import landmarks_only
from faceaug.faces.landmarks_only import find_landmarks
from tests.faces.stand_in import GivenFinder, face_at, write_photos

FACES = {f"{person}/{k}.png": [face_at(300 + 9 * k, 260, 60)] for person in ("ann", "ben") for k in range(2)}


@pytest.fixture
def finder(tmp_path: Path) -> GivenFinder:
    return write_photos(tmp_path / "people", FACES | {"ben/none.png": []})


def test_class_folders_get_landmarks_and_stay_class_folders(tmp_path: Path, finder: GivenFinder) -> None:
    report = find_landmarks(tmp_path / "people", finder=finder, progress=False)
    assert (report.pictures, report.known, report.found, report.without) == (5, 0, 4, ("ben/none.png",))
    folder = FaceFolder(tmp_path / "people")
    assert folder.layout == "classes"
    for k, name in enumerate(folder.names):
        expected = FACES[name][0].landmarks if name in FACES else np.full((5, 2), np.nan)
        assert np.allclose(folder.annotations.landmarks[k], expected, atol=0.01, equal_nan=True)
    assert "landmarks.csv: the landmarks of 4 pictures" in folder.notes
    assert not any("not read" in note for note in folder.notes)


def test_a_second_call_looks_only_at_new_pictures(
    tmp_path: Path, finder: GivenFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_landmarks(tmp_path / "people", finder=finder, progress=False)
    first = (tmp_path / "people" / "landmarks.csv").read_text().splitlines()
    more = write_photos(tmp_path / "people", {"ann/new.png": [face_at(200, 200, 40)]}, width=400)
    seen: list[str] = []
    look = landmarks_only._look_at

    def noted(ground: Any, given: Any, path: str) -> Any:
        seen.append(Path(path).name)
        return look(ground, given, path)

    monkeypatch.setattr(landmarks_only, "_look_at", noted)
    report = find_landmarks(tmp_path / "people", finder=more, progress=False)
    assert sorted(seen) == ["new.png", "none.png"]
    assert (report.known, report.found) == (4, 1)
    assert set(first) < set((tmp_path / "people" / "landmarks.csv").read_text().splitlines())


def test_an_interrupted_search_keeps_what_it_found(
    tmp_path: Path, finder: GivenFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = landmarks_only._look_at
    seen: list[str] = []

    def stop(ground: Any, given: Any, path: str) -> Any:
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return look(ground, given, path)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(landmarks_only, "_look_at", stop)
        find_landmarks(tmp_path / "people", finder=finder, progress=False)
    report = find_landmarks(tmp_path / "people", finder=finder, progress=False)
    assert (report.known, report.found) == (2, 2)


def test_an_interrupted_search_with_a_table_elsewhere_is_continued(
    tmp_path: Path, finder: GivenFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "tables" / "points.csv"
    look = landmarks_only._look_at
    seen: list[str] = []

    def stop(ground: Any, given: Any, path: str) -> Any:
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return look(ground, given, path)

    monkeypatch.setattr(landmarks_only, "_look_at", stop)
    with pytest.raises(KeyboardInterrupt):
        find_landmarks(tmp_path / "people", table, finder=finder, progress=False)
    report = find_landmarks(tmp_path / "people", table, finder=finder, progress=False)
    assert (report.known, report.found, len(seen)) == (2, 2, 6)
    assert len(table.read_text().splitlines()) == 5
    assert report.notes == (f"{table}: the landmarks of 2 pictures in it stay; remove it to find them again",)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_table_to_which_nothing_new_comes_is_not_written_again(
    tmp_path: Path, finder: GivenFinder, *, elsewhere: bool
) -> None:
    table = tmp_path / "points.csv" if elsewhere else tmp_path / "people" / "landmarks.csv"
    out = table if elsewhere else None
    find_landmarks(tmp_path / "people", out, finder=finder, progress=False)
    before = table.stat().st_ino
    report = find_landmarks(tmp_path / "people", out, finder=finder, progress=False)
    assert (report.known, report.found, report.out, report.without) == (4, 0, None, ("ben/none.png",))
    assert table.stat().st_ino == before


def test_a_table_of_a_folder_inside_keeps_what_the_one_above_says_of_its_pictures(
    tmp_path: Path, finder: GivenFinder
) -> None:
    find_landmarks(tmp_path / "people", finder=finder, progress=False)
    inside = tmp_path / "people" / "ann"
    report = find_landmarks(inside, finder=finder, progress=False)
    assert (report.known, report.found, report.out) == (2, 0, None)
    more = write_photos(inside, {"new.png": [face_at(200, 200, 40)]}, width=400)
    report = find_landmarks(inside, finder=more, progress=False)
    assert (report.known, report.found, report.out) == (2, 1, inside / "landmarks.csv")
    assert not np.isnan(FaceFolder(inside).annotations.landmarks).any()


def test_landmarks_that_a_table_has_are_kept(tmp_path: Path) -> None:
    finder = write_photos(tmp_path / "photos", {f"{k}.png": [face_at(300, 260, 60)] for k in range(2)})
    own = {"lefteye_x": 1, "lefteye_y": 2, "righteye_x": 3, "righteye_y": 4, "nose_x": 5, "nose_y": 6}
    own |= {"leftmouth_x": 7, "leftmouth_y": 8, "rightmouth_x": 9, "rightmouth_y": 10}
    lines = [{"file_name": "0.png"} | own, {"file_name": "1.png"}]
    (tmp_path / "photos" / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = find_landmarks(tmp_path / "photos", finder=finder, progress=False)
    assert (report.known, report.found) == (1, 1)
    found = FaceFolder(tmp_path / "photos").annotations.landmarks
    assert found[0].reshape(-1).tolist() == list(range(1, 11))
    assert np.allclose(found[1], face_at(300, 260, 60).landmarks, atol=0.01)


def test_where_all_landmarks_are_known_nothing_is_written(celeba_folder: Path) -> None:
    report = find_landmarks(celeba_folder, finder=GivenFinder({}), progress=False)
    assert (report.known, report.found, report.out) == (60, 0, None)
    assert report.summary().endswith("there was nothing to write")
    assert not (celeba_folder / "landmarks.csv").exists()


def test_without_any_face_nothing_is_written(tmp_path: Path) -> None:
    finder = write_photos(tmp_path / "photos", {"a.png": []})
    with pytest.raises(RefusedError, match="no face was found in 1 picture; nothing is written"):
        find_landmarks(tmp_path / "photos", finder=finder, progress=False)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.png"]


def test_an_archive_needs_a_place_for_the_table(tmp_path: Path, finder: GivenFinder) -> None:
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as archive:
        for path in (tmp_path / "people").rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path / "people"))
    with pytest.raises(ArgumentError, match="is an archive; name a file for the table"):
        find_landmarks(tmp_path / "people.zip", finder=finder)
    report = find_landmarks(tmp_path / "people.zip", tmp_path / "landmarks.csv", finder=finder, progress=False)
    assert report.found == 4


def test_another_file_of_that_name_is_no_table_of_landmarks(tmp_path: Path, finder: GivenFinder) -> None:
    table = tmp_path / "people" / "landmarks.csv"
    table.write_text("my,own\n1,2\n")
    assert any("landmarks.csv" in note for note in FaceFolder(tmp_path / "people").notes)
    with pytest.raises(RefusedError, match="is not a table of faceaug align --only-landmarks"):
        find_landmarks(tmp_path / "people", finder=finder)
    find_landmarks(tmp_path / "people", finder=finder, overwrite=True, progress=False)
    table.write_text(table.read_text().replace("270.00", "x70"))
    with pytest.raises(AnnotationError, match=r"landmarks\.csv"):
        FaceFolder(tmp_path / "people")


def test_rows_without_a_picture_are_counted(tmp_path: Path, finder: GivenFinder) -> None:
    find_landmarks(tmp_path / "people", finder=finder, progress=False)
    (tmp_path / "people" / "ann" / "0.png").unlink()
    assert "landmarks.csv: 1 row has no picture" in FaceFolder(tmp_path / "people").notes

from __future__ import annotations

import json
import re
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from faceaug.clean import clean_folder
from faceaug.data.folder import FaceFolder
from faceaug.data.layouts import WRITERS
from faceaug.errors import FaceAugError, RefusedError
from tests.data.layouts.made import NAMES, PARTS, attributes_csv, attributes_txt, pairs, points_txt, put, write

TABLES = {
    "list_attr_celeba.txt": attributes_txt(),
    "list_attr_celeba.csv": attributes_csv(),
    "identity_CelebA.txt": pairs(range(6)),
    "list_eval_partition.txt": pairs(PARTS),
    "list_landmarks_align_celeba.txt": points_txt(),
    "metadata.csv": "file_name,label\n000001.jpg,x\n",
    "metadata.jsonl": '{"file_name": "000001.jpg"}\n',
    "ffhq-dataset-v2.json": "{}",
    "fairface_label_train.csv": "file,age,gender,race,service_test\n000001.jpg,0-2,Male,White,True\n",
    "list_patition_label.txt": "000001.jpg 5\n",
}
RECORDS = [
    *(b'{"labels": %s}' % labels for labels in (b"null", b"[]", b'[["000001.jpg", 1]]', b'[["000001.jpg", [NaN]]]')),
    *(b'{"run": {"command": "convert"}, "finished": true, "classes": ["a"], "layout": "%s"}' % layout.encode()
      for layout in WRITERS),
]  # fmt: skip
ENDINGS = (".csv", ".txt", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx", ".dat", ".lst", "")
STEMS = st.text("abcdefgh_-XYZ0123456789 é", min_size=1, max_size=20).map(str.strip).filter(bool)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(sorted(TABLES)), STEMS, st.sampled_from(ENDINGS))
def test_a_table_under_an_unknown_name_is_named(table: str, stem: str, ending: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = put(Path(place), *NAMES)
        write(root, f"q{stem}{ending}", TABLES[table])
        assert any(f"q{stem}{ending}" in note for note in FaceFolder(root).notes)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*TABLES, "CelebAMask-HQ-attribute-anno.txt", "CelebA-HQ-to-CelebA-mapping.txt", "x.json",
                         "peopleDevTrain.txt", "000001.txt", "x.rec", "x.idx", "x.tar", "x.zip", "metadata.parquet",
                         "x.parquet", "dataset.json", "convert.json"]),
        st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
                  st.sampled_from(RECORDS),
                  st.sampled_from([text.encode()[:k] for text in TABLES.values() for k in (20, 200, 5000)])),
        max_size=3,
    ),
    st.booleans(),
)  # fmt: skip
def test_no_table_makes_anything_but_the_drawn_errors(files: dict[str, bytes], pictures: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        if pictures:
            put(root, *NAMES)
        for name, data in files.items():
            put(root, name, data=data)
        with suppress(FaceAugError):
            assert len(FaceFolder(root)) > 0


def test_formats_that_are_not_read_are_counted_by_ending_everywhere(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.jxl", "3.JXL", "sub/4.psd")
    said = FaceFolder(tmp_path).notes
    assert any(".jxl (2, 2.jxl)" in note and ".psd (1, sub/4.psd)" in note for note in said)
    report = clean_folder(tmp_path, dry_run=True)
    assert ".jxl (2" in report.summary()
    assert ".jxl (2" in json.dumps(report.to_json())
    (tmp_path / "1.png").unlink()
    with pytest.raises(RefusedError, match=r"these are not read: \.jxl"):
        FaceFolder(tmp_path)


def test_texts_for_people_are_not_named(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "README.md", "LICENSE", "readme.txt", "page.html", "make.py")
    assert FaceFolder(tmp_path).notes == ()


def test_archives_beside_pictures_are_named(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "x.zip", "y.tar.gz")
    assert FaceFolder(tmp_path).notes == ("2 archives not read (x.zip, y.tar.gz); a ZIP or tar opens by its own path",)


def test_heic_without_its_extra_is_counted_and_the_note_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceaug.storage.walk.SUFFIXES", (".jpg", ".png"))  # those without the extra
    put(tmp_path, "1.png", "2.heic", "3.HEIF")
    advice = r"python -m pip install 'faceaug\[heic\]'"
    assert re.fullmatch(
        rf"2 files look .*: \.heic \(1, .*\), \.heif \(1, .*\); .*{advice}", FaceFolder(tmp_path).notes[0]
    )
    (tmp_path / "1.png").unlink()
    with pytest.raises(RefusedError, match=advice):
        FaceFolder(tmp_path)

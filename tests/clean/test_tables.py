from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from faceaug.clean.tables import every_table, filter_metadata, filter_table, pictures_of_rows, rows_in_step
from faceaug.data.layouts import Place
from faceaug.data.metadata_files import read_metadata, read_source
from faceaug.data.tables import read_table, read_text
from faceaug.storage.walk import list_folder
from tests.clean.tables import write_tables
from tests.clean.zoo import write


def listed(folder: Path) -> Place:
    return Place.of(list_folder(folder))


def kept(table: Path, names: list[str]) -> bytes:
    return filter_table(read_table(table), read_text(table), names)


def test_a_text_table_keeps_its_rows_to_the_byte_and_counts_them_anew(tmp_path: Path) -> None:
    table = tmp_path / "list_landmarks_align_celeba.txt"
    head = (
        "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y \n"
    )
    rows = [f"{k:06d}.jpg  {k} 2   3 4 5 6 7 8 9  -10 \n" for k in range(1, 6)]
    table.write_bytes(f"5\n{head}{''.join(rows)}\n\n".encode())
    written = kept(table, ["000004.jpg", "000002.jpg"])
    assert written.decode() == f"2\n{head}{rows[3].rstrip()}\n{rows[1].rstrip()}\n"


def test_line_ends_and_quotes_survive(tmp_path: Path) -> None:
    table = write(tmp_path / "identity_CelebA.txt", b"000001.jpg 5\r\n000002.jpg 6\r\n")
    assert kept(table, ["000002.jpg"]) == b"000002.jpg 6\r\n"
    table = write(tmp_path / "list_eval_partition.csv", b"image_id,partition\n000001.jpg,0\n000002.jpg,2\n")
    assert kept(table, ["000002.jpg"]) == b"image_id,partition\n000002.jpg,2\n"
    table = write(tmp_path / "list_eval_partition.csv", b'\xef\xbb\xbfimage_id,partition\n"a,b.jpg",0\n"c.jpg",1\n')
    assert kept(table, ["a,b.jpg"]) == b'image_id,partition\n"a,b.jpg",0\n'
    assert kept(table, []) == b"image_id,partition\n"


def test_both_forms_of_a_table_are_found(tmp_path: Path) -> None:
    write(tmp_path / "list_eval_partition.txt", b"000001.jpg 0\n")
    write(tmp_path / "list_eval_partition.csv", b"image_id,partition\n000001.jpg,0\n")
    assert [table.path.name for table in every_table(listed(tmp_path))] == [
        "list_eval_partition.txt",
        "list_eval_partition.csv",
    ]


def test_tables_that_differ_a_little_are_brought_into_step(tmp_path: Path) -> None:
    names = [f"{k:06d}.jpg" for k in range(1, 301)]
    write_tables(tmp_path, names)
    identity = tmp_path / "identity_CelebA.txt"
    identity.write_text("".join(f"{name} 7\n" for name in reversed(names) if name != "000005.jpg"))
    rows = rows_in_step(every_table(listed(tmp_path)), set(names) - {"000002.jpg"})
    expected = tuple(name for name in names if name not in {"000002.jpg", "000005.jpg"})
    assert set(rows.kept.values()) == {expected}
    assert "1 row was dropped because another table has none" in rows.notes[0]
    assert "all tables now have the order of list_attr_celeba.txt" in rows.notes[1]


def test_tables_about_other_pictures_keep_their_own_rows_with_a_warning(tmp_path: Path) -> None:
    names = [f"{k:06d}.jpg" for k in range(1, 31)]
    write_tables(tmp_path, names)
    (tmp_path / "identity_CelebA.txt").write_text("".join(f"{name} 7\n" for name in names[:4]))
    rows = rows_in_step(every_table(listed(tmp_path)), names)
    assert {path.name: len(kept) for path, kept in rows.kept.items()} == {
        "list_attr_celeba.txt": 30,
        "identity_CelebA.txt": 4,
        "list_eval_partition.txt": 30,
        "list_landmarks_align_celeba.txt": 30,
        "list_bbox_celeba.txt": 30,
    }
    assert "torchvision" in rows.notes[0]
    assert rows_in_step([], names).kept == {}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 999_999), unique=True, min_size=1, max_size=20), st.data())
def test_any_choice_of_rows_reads_back_the_same_values(numbers: list[int], data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        names = [f"{k:06d}.jpg" for k in numbers]
        write_tables(folder, names, kaggle=data.draw(st.booleans()))
        keep = data.draw(st.lists(st.sampled_from(names), unique=True))
        for table in every_table(listed(folder)):
            table.path.write_bytes(kept(table.path, keep))
            again = read_table(table.path)
            assert again.names == tuple(keep)
            assert again.columns == table.columns
            at = [table.names.index(name) for name in keep]
            np.testing.assert_array_equal(again.values, table.values[at])


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_metadata_loses_only_the_rows_of_pictures_that_left(tmp_path: Path, ending: str) -> None:
    table = tmp_path / f"metadata.{ending}"
    if ending == "csv":
        table.write_text('file_name,note,partition\n./a.jpg,"one, two",train\nb/c.jpg,"new\nline",test\nd.jpg,,0\n')
    else:
        table.write_text('{"file_name": "./a.jpg", "x": [1, 2]}\n{"file_name":"b/c.jpg"}\n\n{"file_name": "d.jpg"}\n')
    before = {row["file_name"]: row for row in read_metadata(table)}
    table.write_bytes(filter_metadata(table, read_source(table), [name != "b/c.jpg" for name in before]))
    after = {row["file_name"]: row for row in read_metadata(table)}
    assert after == {name: before[name] for name in ("a.jpg", "d.jpg")}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_rows_of_metadata_take_the_new_names_of_their_pictures(tmp_path: Path, ending: str) -> None:
    table = tmp_path / f"metadata.{ending}"
    rows = [{"note": "one, two", "image_file_name": f"{k}.jpg"} for k in range(3)]
    if ending == "csv":
        table.write_text('note;image_file_name\n"one, two";0.jpg\n"one, two";1.jpg\n"one, two";2.jpg\n')
    elif ending == "jsonl":
        table.write_text("\n".join(map(json.dumps, rows)))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), table)
    table.write_bytes(filter_metadata(table, read_source(table), [True, False, True], {2: "sub/000002.jpg"}))
    after = [(row["file_name"], row["note"]) for row in read_metadata(table)]
    assert after == [("0.jpg", "one, two"), ("sub/000002.jpg", "one, two")]


def test_a_row_belongs_to_its_picture_before_or_after_the_repair_of_the_name() -> None:
    renames = {"1.jpg": "000001.jpg", "000002.JPG": "000002.jpg", "3.jpg": "4.jpg", "4.jpg": "3.jpg"}
    names = ["000001.jpg", "000002.png", "3.jpg", "4.jpg", "5", "clip.mp4"]
    found = pictures_of_rows(names, [*renames, "5.jpg"], renames=renames)
    assert found == ["1.jpg", "000002.JPG", "3.jpg", "4.jpg", "5.jpg", None]

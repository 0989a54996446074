from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from faceaug.data.annotations import (
    ATTRIBUTES,
    LANDMARKS,
    PARTITIONS,
    Annotations,
    attribute_index,
    find_tables,
    join_tables,
    read_table,
    select_rows,
    unknown,
)
from faceaug.data.metadata import join_metadata, join_rows
from faceaug.data.metadata_files import read_metadata
from faceaug.draws import stream
from faceaug.errors import AnnotationError, ArgumentError, RefusedError

NAMES = ["000001.jpg", "000002.jpg", "000003.jpg"]
VALUES = {
    "list_attr_celeba": stream(0, slot="tests/attributes").choice([-1, 1], (3, 40)),
    "identity_CelebA": np.array([[2880], [1], [10_177]]),
    "list_eval_partition": np.array([[0], [1], [2]]),
    "list_landmarks_align_celeba": stream(0, slot="tests/points").integers(-3, 218, (3, 10)),
    "list_bbox_celeba": stream(0, slot="tests/boxes").integers(0, 900, (3, 4)),
}
COLUMNS = {
    "list_attr_celeba": ATTRIBUTES,
    "identity_CelebA": ("identity",),
    "list_eval_partition": ("partition",),
    "list_landmarks_align_celeba": LANDMARKS,
    "list_bbox_celeba": ("x_1", "y_1", "width", "height"),
}
COUNTED = ("list_attr_celeba", "list_landmarks_align_celeba", "list_bbox_celeba")


def as_txt(stem: str) -> str:
    rows = [f"{name} " + " ".join(f"{v:2d}" for v in row) for name, row in zip(NAMES, VALUES[stem], strict=True)]
    head = ["3", " ".join(COLUMNS[stem]) + " "] if stem in COUNTED else []
    return "\n".join(head + rows) + "\n"


def as_csv(stem: str) -> str:
    rows = [",".join([name, *map(str, row)]) for name, row in zip(NAMES, VALUES[stem], strict=True)]
    return "\n".join([",".join(["image_id", *COLUMNS[stem]]), *rows]) + "\n"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# CelebA's tables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", VALUES)
def test_every_table_reads_the_same_in_both_forms(tmp_path: Path, stem: str) -> None:
    for table in (
        read_table(write(tmp_path, f"{stem}.txt", as_txt(stem))),
        read_table(write(tmp_path, f"{stem}.csv", as_csv(stem))),
    ):
        assert table.names == tuple(NAMES)
        assert table.columns == COLUMNS[stem]
        assert table.values.dtype == np.int32
        assert np.array_equal(table.values, VALUES[stem])


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_marks_line_ends_and_blank_lines_of_other_systems_do_not_matter(tmp_path: Path, form: str) -> None:
    for stem in tuple(VALUES):
        text = (as_txt(stem) if form == "txt" else as_csv(stem)).replace("\n", "\r\n") + "\r\n  \r\n\n"
        if form == "csv":
            text = text.replace("  \r\n", "")
        table = read_table(write(tmp_path, f"{stem}.{form}", b"\xef\xbb\xbf" + text.encode()))
        assert np.array_equal(table.values, VALUES[stem])


def test_columns_of_a_csv_may_stand_in_any_order(tmp_path: Path) -> None:
    order = stream(1, slot="tests/order").permutation(40)
    lines = [",".join(["image_id", *(ATTRIBUTES[k] for k in order)])]
    values = VALUES["list_attr_celeba"]
    lines += [",".join([name, *(str(row[k]) for k in order)]) for name, row in zip(NAMES, values, strict=True)]
    known, notes = join_tables([read_table(write(tmp_path, "list_attr_celeba.csv", "\n".join(lines)))], NAMES)
    assert np.array_equal(known.attributes, values)
    assert notes == []


def test_of_a_table_in_both_forms_the_published_one_is_taken(tmp_path: Path) -> None:
    assert find_tables(tmp_path) == []
    for name in ("list_attr_celeba.csv", "identity_CelebA.csv", "identity_CelebA.txt"):
        write(tmp_path, name, "")
    assert [path.name for path in find_tables(tmp_path)] == ["list_attr_celeba.csv", "identity_CelebA.txt"]


ATTR, IDENT, PART = "list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt"
ROW = " ".join(["1"] * 40)
HEAD = " ".join(ATTRIBUTES)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (ATTR, f"3\n{HEAD}\na.jpg {ROW}\n", "line 1 says 3 rows, the table has 1; correct the count"),
        (ATTR, f"{HEAD}\na.jpg {ROW}\n", "line 1 should be the number of rows"),
        (ATTR, f"²\n{HEAD}\na.jpg {ROW}\n", "line 1 should be the number of rows"),
        (ATTR, "", "line 1 should be the number of rows"),
        (ATTR, f"1\n{HEAD}\na.jpg {ROW} 1\n", "line 3: expected a file name and 40 whole numbers"),
        (ATTR, f"2\n{HEAD}\na.jpg {ROW} 1\nb.jpg {ROW[:-2]}\n", "line 3"),
        (ATTR, f"2\n{HEAD}\na.jpg {ROW}\nb.jpg {ROW[:-2]} x\n", "line 4"),
        (ATTR, f"2\n{HEAD}\na.jpg {ROW}\nb.jpg {ROW[:-2]} 0.5\n", "line 4"),
        (ATTR, f"1\n{HEAD} Hat\na.jpg {ROW} 1\n", "unknown column Hat; CelebA's are 5_o"),
        (ATTR, f"1\n{HEAD} Male\na.jpg {ROW} 1\n", "a column occurs twice"),
        (ATTR, f"1\n\na.jpg {ROW}\n", "or there is none"),
        (ATTR, f"1\n{HEAD}\na.jpg {ROW[:-2]} 2\n", "a.jpg: Young is 2; expected one of -1, 0, 1"),
        (ATTR, f"2\n{HEAD}\na.jpg {ROW}\na.jpg {ROW}\n", "a.jpg has two rows; keep one"),
        (IDENT, "a.jpg 1\n\nb.jpg 2\n", "line 2: expected a file name and 1 whole number"),
        (IDENT, "a.jpg\n", "line 1"),
        (IDENT, "a.jpg --5\n", "line 1"),
        (IDENT, "a.jpg 1_0\n", "line 1"),
        (IDENT, "a.jpg ٣\n", "line 1"),
        (IDENT, "a.jpg 99999999999\n", "line 1"),
        (IDENT, "a.jpg 99999999999999999999999\n", "line 1"),
        (IDENT, "../a.jpg 1\n", "'../a.jpg' is not a plain file name"),
        (IDENT, "b\\a.jpg 1\n", "is not a plain file name"),
        (IDENT, "/etc/passwd 1\n", "is not a plain file name"),
        (IDENT, ".. 1\n", "is not a plain file name"),
        (PART, "a.jpg 3\n", "a.jpg: partition is 3; expected one of 0, 1, 2"),
        (PART, "a.jpg -1\n", "partition is -1"),
        (IDENT, b"a.jpg 1\n\xff\xfe 2\n", "is not UTF-8 text .* at byte 8"),
        (IDENT, "a.jpg 1\n".encode("utf-16"), "is not UTF-8 text"),
        ("identity_CelebA.csv", "", "is empty; expected a header line"),
        ("identity_CelebA.csv", "image_id,identity\na.jpg,1,2\n", "line 2: expected a file name and 1 whole number"),
        ("identity_CelebA.csv", "image_id,identity\n\n\na.jpg\n", "line 4"),
        ("identity_CelebA.csv", "image_id,identity\na.jpg,--5\n", "line 2"),
        ("identity_CelebA.csv", "image_id,identity\na.jpg,99999999999\n", "line 2"),
        ("identity_CelebA.csv", "image_id,identity\na.jpg,²\n", "line 2"),
        ("identity_CelebA.csv", 'image_id,identity\n"a.jpg,1\n', "unexpected end of data"),
        ("identity_CelebA.csv", "image_id,person\na.jpg,1\n", "unknown column person"),
        ("identity_CelebA.csv", "image_id\na.jpg\n", "or there is none"),
        ("list_bbox_celeba.csv", "image_id,x_1,y_1,width\na.jpg,1,2,3\n", "column height is missing"),
        ("list_mood_celeba.txt", "a.jpg 1\n", "not the name of a CelebA table"),
    ],
)
def test_a_table_that_contradicts_itself_is_an_error_that_says_where(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        read_table(write(tmp_path, name, text))
    assert name in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_quoted_csv_reads_like_a_plain_one(tmp_path: Path) -> None:
    plain = as_csv("identity_CelebA")
    quoted = "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in plain.splitlines())
    table = read_table(write(tmp_path, "identity_CelebA.csv", quoted))
    assert table.names == tuple(NAMES)
    assert np.array_equal(table.values, VALUES["identity_CelebA"])


@pytest.mark.parametrize("cell", ["", " ", "1 2", "1.5", "1e3", "0x1", "nan", "1;"])
@pytest.mark.parametrize("form", ["txt", "csv"])
def test_no_cell_is_read_as_a_number_that_is_none(tmp_path: Path, form: str, cell: str) -> None:
    rows = f"a.jpg 1\nb.jpg {cell}\nc.jpg 1\n"
    text = rows if form == "txt" else "image_id,identity\n" + rows.replace("jpg ", "jpg,")
    with pytest.raises(AnnotationError, match="line 2" if form == "txt" else "line 3"):
        read_table(write(tmp_path, f"identity_CelebA.{form}", text))


def test_a_missing_table_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"identity_CelebA\.txt: cannot be read \(No such file"):
        read_table(tmp_path / "identity_CelebA.txt")


def test_tables_are_joined_by_name_and_not_by_position(tmp_path: Path) -> None:
    tables = [read_table(write(tmp_path, f"{stem}.txt", as_txt(stem))) for stem in VALUES]
    known, notes = join_tables(tables, ["000003.jpg", "new.jpg", "000001.jpg"])
    assert known.identity.tolist() == [10_177, -1, 2880]
    assert known.partition.tolist() == [2, -1, 0]
    assert np.array_equal(known.attributes[[0, 2]], VALUES["list_attr_celeba"][[2, 0]])
    assert not known.attributes[1].any()
    points = VALUES["list_landmarks_align_celeba"].reshape(3, 5, 2)
    assert np.array_equal(known.landmarks[[0, 2]], points[[2, 0]])
    assert np.isnan(known.landmarks[1]).all()
    assert known.weight.tolist() == [1, 1, 1]
    assert len(notes) == 5
    assert notes[1] == "identity_CelebA.txt: 1 row has no picture, of 3 (000002.jpg)"


def test_a_table_of_another_folder_is_an_error(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "identity_CelebA.txt", as_txt("identity_CelebA")))
    with pytest.raises(AnnotationError, match=r"none of its 3 names \(000001.jpg, 000002.jpg, 000003.jpg\) is a pict"):
        join_tables([table], ["a.jpg", "b.jpg"])


def test_a_table_without_rows_says_nothing(tmp_path: Path) -> None:
    tables = [
        read_table(write(tmp_path, "identity_CelebA.txt", "")),
        read_table(write(tmp_path, "list_attr_celeba.txt", f"0\n{HEAD}\n")),
        read_table(write(tmp_path, "list_eval_partition.csv", "image_id,partition\n")),
    ]
    known, notes = join_tables(tables, NAMES)
    assert notes == []
    assert known.identity.tolist() == [-1, -1, -1]


def test_the_forty_attributes_are_those_of_the_published_table(celeba200: Path) -> None:
    with (celeba200 / "list_attr_celeba.txt").open() as lines:
        next(lines)
        assert tuple(next(lines).split()) == ATTRIBUTES
    assert attribute_index("Young") == 39
    with pytest.raises(ArgumentError, match="unknown attribute 'Hat'; the attributes are 5_o_Clock_Shadow, "):
        attribute_index("Hat")


# Choices among rows --------------------------------------------------------------------------------------------------


def known_partitions(partition: list[int], origin: list[int] | None = None) -> Annotations:
    known = unknown(len(partition))
    known.partition[:] = partition
    known.origin[:] = origin or 0
    return known


def test_rows_of_a_partition_are_real_and_in_order() -> None:
    known = known_partitions([0, 2, 0, 1, 0, -1], [0, 0, 2, 0, 0, 0])
    assert select_rows(known)[0].tolist() == [0, 4]
    for name, rows in {"train": [0, 4], "val": [3], "test": [1], "all": [0, 1, 3, 4, 5]}.items():
        chosen, assumed = select_rows(known, name)
        assert chosen.tolist() == rows
        assert not assumed
        if name in PARTITIONS:
            assert select_rows(known, PARTITIONS[name])[0].tolist() == rows


def test_where_no_row_is_for_training_all_are_taken_and_said_to_be_assumed() -> None:
    for partition in ([-1, -1], [2, 1]):
        rows, assumed = select_rows(known_partitions(partition))
        assert rows.tolist() == [0, 1]
        assert assumed


def test_an_unknown_or_empty_partition_is_refused() -> None:
    known = known_partitions([0, 0])
    for wrong in ("training", 3, -1):
        with pytest.raises(ArgumentError, match="expected one of train, val, test, all"):
            select_rows(known, wrong)
    with pytest.raises(RefusedError, match="no real picture is in partition val"):
        select_rows(known, "val")
    with pytest.raises(RefusedError, match="partition all"):
        select_rows(known_partitions([0], [2]))


# Imagefolder metadata ------------------------------------------------------------------------------------------------

ROWS = [
    {
        "file_name": "a/1.png",
        "origin": "real",
        "source_file": "x.jpg",
        "weight": 0.5,
        "partition": "validation",
        "identity": 2**60 + 1,
        "label": 3,
        "Male": 1,
        "Young": -1,
        "lefteye_x": 30.25,
        "lefteye_y": 40.0,
        "caption": "anything",
    },
    {"file_name": "2.png", "origin": "augmented", "source_file": "x.jpg", "partition": 0, "Male": -1, "label": 0},
    {"file_name": "3.png", "origin": "synthetic", "partition": "train"},
]


def as_metadata(path: Path, rows: list[dict[str, object]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_metadata_is_read_back_in_both_forms(tmp_path: Path, name: str) -> None:
    names = ["2.png", "3.png", "a/1.png", "extra.png"]
    known, notes = join_metadata(as_metadata(tmp_path / name, ROWS), names)
    assert known.origin.tolist() == [1, 2, 0, 0]
    assert known.source.tolist() == [2, -1, 2, -1]
    assert known.partition.tolist() == [0, 0, 1, -1]
    assert known.identity.tolist() == [-1, -1, 2**60 + 1, -1]
    assert known.label.tolist() == [0, -1, 3, -1]
    assert known.weight.tolist() == [1, 1, 0.5, 1]
    assert known.attributes[:, attribute_index("Male")].tolist() == [-1, 0, 1, 0]
    assert known.landmarks[2, 0].tolist() == [30.25, 40]
    assert np.isnan(known.landmarks[2, 1:]).all()
    assert np.isnan(known.landmarks[0]).all()
    assert notes == [f"{name}: 1 picture has no row"]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_labels_that_are_texts_become_numbers_in_sorted_order(tmp_path: Path, name: str) -> None:
    labels = ["old", "young", "", "middle", "old", "7"]
    rows = [{"file_name": f"{k}.png"} | ({"label": label} if label else {}) for k, label in enumerate(labels)]
    path = as_metadata(tmp_path / name, rows)
    known, _, classes = join_rows(path, read_metadata(path), [f"{k}.png" for k in range(6)])
    assert classes == ("7", "middle", "old", "young")
    assert known.label.tolist() == [2, 3, -1, 1, 2, 0]


def test_truths_numbers_and_nulls_of_json_are_understood(tmp_path: Path) -> None:
    rows = [
        {
            "file_name": "./1.png",
            "Male": True,
            "Young": False,
            "Bald": 0,
            "identity": 7.0,
            "label": None,
            "nose_x": None,
        },
        {"file_name": "2.png", "Male": "true", "Young": "False", "identity": "8.0", "note": {"any": ["thing"]}},
    ]
    known, _ = join_metadata(as_metadata(tmp_path / "metadata.jsonl", rows), ["1.png", "2.png"])
    assert (
        known.attributes[:, [attribute_index(name) for name in ("Male", "Young", "Bald")]].tolist() == [[1, -1, 0]] * 2
    )
    assert known.identity.tolist() == [7, 8]
    assert known.label.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("identity", "x"),
        ("identity", "3.7"),
        ("identity", float("nan")),
        ("identity", float("inf")),
        ("identity", 2**70),
        ("identity", -2),
        ("identity", [1]),
        ("label", "0.5"),
        ("weight", -1),
        ("weight", "nan"),
        ("weight", "heavy"),
        ("partition", "holdout"),
        ("partition", 5),
        ("origin", "fake"),
        ("origin", 1),
        ("Male", 2),
        ("Male", "maybe"),
        ("nose_y", "inf"),
        ("nose_y", "here"),
    ],
)
def test_a_cell_that_cannot_be_is_an_error_that_names_it(tmp_path: Path, column: str, value: object) -> None:
    path = as_metadata(tmp_path / "metadata.jsonl", [{"file_name": "1.png"}, {"file_name": "2.png", column: value}])
    with pytest.raises(AnnotationError, match=rf"metadata\.jsonl: 2\.png: {column} is .*; expected "):
        join_metadata(path, ["1.png", "2.png"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.csv", "file_name,label\n/etc/passwd,1\n", "row 1: /etc/passwd points outside the folder"),
        ("metadata.csv", "file_name,label\na/../../b.png,1\n", "points outside"),
        ("metadata.csv", "file_name,label\n1.png,1\n./1.png,1\n", "has two rows"),
        ("metadata.csv", "file_name,label\n1.png\n", "line 2: expected 2 values"),
        ("metadata.csv", "file_name,label\n1.png,1,2\n", "line 2: expected 2 values"),
        ("metadata.csv", "file_name,label\n,1\n", "row 1: expected a file_name"),
        ("metadata.csv", "name,label\n1.png,1\n", "names no column file_name"),
        ("metadata.csv", "", "names no column file_name"),
        ("metadata.csv", "file_name,a,a\n1.png,1,2\n", "a column occurs twice"),
        ("metadata.csv", 'file_name\n"1.png\n', "not a readable table"),
        ("metadata.csv", "file_name\n9.png\n", r"1 row names no picture here \(9.png\)"),
        ("metadata.jsonl", '{"file_name": "1.png"\n', "not a readable table"),
        ("metadata.jsonl", "[1]\n", "line 1 is not a JSON object"),
        ("metadata.jsonl", '{"file_name": 1}\n', "expected a file_name"),
        ("metadata.jsonl", "[" * 100_000, "not a readable table"),
        ("metadata.jsonl", b"\xff", "is not UTF-8 text"),
    ],
)
def test_metadata_that_contradicts_itself_is_an_error(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        join_metadata(write(tmp_path, name, text), ["1.png"])
    assert name in str(caught.value)


def test_metadata_may_hold_names_with_commas_and_line_separators(tmp_path: Path) -> None:
    names = ["a, b.png", 'c"d.png', "e\u2028f.png", "g\nh.png"]
    for name in ("metadata.csv", "metadata.jsonl"):
        path = as_metadata(tmp_path / name, [{"file_name": each, "label": k} for k, each in enumerate(names)])
        known, _ = join_metadata(path, names)
        assert known.label.tolist() == [0, 1, 2, 3]

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from faceaug.data.containers import open_container, read_member
from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_jpeg, encode_png
from faceaug.errors import AnnotationError, ImageError, RefusedError
from faceaug.mix import expand_dataset
from tests.conftest import picture
from tests.data.layouts.made import put, write

PICTURES = {f"{part}/{kind}/{k}.png": encode_png(picture(k, height=32, width=32)) for k, (part, kind) in enumerate(
    [("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")]
)}  # fmt: skip


def folder(root: Path) -> Path:
    for name, data in PICTURES.items():
        put(root, name, data=data)
    return root


def tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def packed(path: Path, method: int) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in PICTURES.items():
            archive.writestr(name, data)
    return path


def same(one: FaceFolder, other: FaceFolder) -> None:
    assert (one.names, one.classes) == (other.names, other.classes)
    for field in ("label", "partition", "identity", "attributes", "landmarks"):
        assert np.array_equal(getattr(one.annotations, field), getattr(other.annotations, field), equal_nan=True)
    for k in range(len(one)):
        assert np.array_equal(one.read(k), other.read(k))


@pytest.mark.parametrize("kind", ["stored", "deflated", "tar"])
def test_an_archive_gives_the_items_of_the_unpacked_folder(tmp_path: Path, kind: str) -> None:
    unpacked = FaceFolder(folder(tmp_path / "plain"))
    path = tmp_path / ("faces.tar" if kind == "tar" else "faces.zip")
    if kind == "tar":
        tar(path, PICTURES)
    else:
        packed(path, zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED)
    same(FaceFolder(path), unpacked)
    assert (FaceFolder(path).layout, FaceFolder(path).classes) == ("splits", ("a", "b"))


def test_tables_in_an_archive_are_read_too(tmp_path: Path) -> None:
    table = b"file_name,label,Male\n1.png,old,1\n2.png,young,-1\n"
    path = tar(
        tmp_path / "x.tar",
        {"1.png": PICTURES["train/a/0.png"], "2.png": PICTURES["train/b/1.png"], "metadata.csv": table},
    )
    faces = FaceFolder(path)
    assert (faces.layout, faces.classes) == ("imagefolder", ("old", "young"))
    assert faces.annotations.attributes[:, 20].tolist() == [1, -1]


def test_faces_in_an_archive_can_be_expanded_and_saved(tmp_path: Path) -> None:
    more = expand_dataset(packed(tmp_path / "faces.zip", zipfile.ZIP_DEFLATED), copies=1, synthetic=0)
    assert len(more) == 4
    more.save(tmp_path / "out", workers=2)
    again = FaceFolder(tmp_path / "out")
    assert again.classes == ("a", "b")
    assert sorted(again.annotations.label.tolist()) == [0, 0, 1, 1]


def test_foreign_shards_are_read_by_sample(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    for k in range(4):
        facts = {"Male": k % 2 == 0, "caption": f"face {k}", "age": 20 + k}
        files |= {
            f"{k:04d}.jpg": encode_jpeg(picture(k)),
            f"{k:04d}.json": json.dumps(facts).encode(),
            f"{k:04d}.cls": b"3",
        }
    tar(tmp_path / "train-000000.tar", files)
    tar(tmp_path / "val-000000.tar", {"9.png": PICTURES["test/a/2.png"], "9.json": b"{}"})
    faces = FaceFolder(tmp_path)
    known = faces.annotations
    assert faces.layout == "webdataset"
    assert known.partition.tolist() == [0, 0, 0, 0, 1]
    assert known.attributes[:, 20].tolist() == [1, -1, 1, -1, 0]
    assert known.label.tolist() == [3, 3, 3, 3, -1]
    assert known.columns["caption"] == ("face 0", "face 1", "face 2", "face 3", None)
    assert faces.classes == ()


def test_our_own_shards_give_what_was_saved(tmp_path: Path) -> None:
    folder(tmp_path / "in")
    write(tmp_path / "in", "metadata.csv", "file_name,Male,label,lefteye_x\n" + "".join(
        f"{name},{1 if k % 2 else -1},{'xy'[k % 2]},{k}\n" for k, name in enumerate(PICTURES)
    ))  # fmt: skip
    more = expand_dataset(tmp_path / "in", copies=0, synthetic=0, partition="all")
    more.save(tmp_path / "shards", format="webdataset")
    more.save(tmp_path / "files")
    shards, files = FaceFolder(tmp_path / "shards"), FaceFolder(tmp_path / "files")
    assert shards.classes == files.classes == ("x", "y")
    assert sorted(shards.annotations.label.tolist()) == [0, 0, 1, 1]
    assert shards.annotations.origin.tolist() == [0, 0, 0, 0]
    assert sorted(shards.annotations.attributes[:, 20].tolist()) == [-1, -1, 1, 1]


# RecordIO ------------------------------------------------------------------------------------------------------------

MAGIC = 0xCED7230A


def record(label: float | tuple[float, ...], data: bytes) -> bytes:
    labels = label if isinstance(label, tuple) else ()
    first = 0.0 if labels else label
    return struct.pack("<IfQQ", len(labels), first, 0, 0) + struct.pack(f"<{len(labels)}f", *labels) + data


def chunk(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", MAGIC, kind << 29 | len(data)) + data + b"\0" * (-len(data) % 4)


def chunks(data: bytes) -> bytes:
    """As dmlc writes a record: cut wherever the magic number stands at a multiple of four."""
    word, cuts, at = struct.pack("<I", MAGIC), [], 0
    while (found := data.find(word, at)) >= 0:
        if found % 4 == 0:
            cuts.append(found)
        at = found + 1
    if not cuts:
        return chunk(0, data)
    parts, start = [], 0
    for k, end in enumerate([*cuts, len(data)]):
        parts.append(chunk(1 if k == 0 else 3 if end == len(data) else 2, data[start:end]))
        start = end + 4
    return b"".join(parts)


def recordio(root: Path, *, index: bool = True) -> list[bytes]:
    magic = struct.pack("<I", MAGIC)
    faces = [encode_jpeg(picture(k)) for k in range(3)]
    faces.append(encode_png(picture(9)) + magic * 3)  # bytes that look like the start of a record
    records = [
        record((5.0, 7.0), b""),
        *(record(float(label), data) for label, data in zip((7, 7, 12, 3), faces, strict=True)),
    ]
    records += [record((1.0, 3.0), b""), record((3.0, 5.0), b"")]
    stream, lines = b"", []
    for key, one in enumerate(records):
        lines.append(f"{key}\t{len(stream)}\n")
        stream += chunks(one)
    root.mkdir(parents=True, exist_ok=True)
    (root / "train.rec").write_bytes(stream)
    if index:
        write(root, "train.idx", "".join(lines))
    write(root, "property", "3,32,32\n")
    return faces


@pytest.mark.parametrize("index", [True, False])
def test_recordio_gives_pictures_and_identities(tmp_path: Path, index: bool) -> None:
    faces = recordio(tmp_path, index=index)
    for where in (tmp_path, tmp_path / "train.rec"):
        found = FaceFolder(where)
        assert (found.layout, found.annotations.identity.tolist()) == ("recordio", [7, 7, 12, 3])
        assert found.notes == (
            ("the partition of 4 pictures is that of their folder (train/)",) if where == tmp_path else ()
        )
    members = open_container(tmp_path / "train.rec").members
    assert [read_member(tmp_path / "train.rec", name, 10**9) for name in members] == faces


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.rec"])
@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\0" * 2000, b"x" * 1000, struct.pack("<II", MAGIC, 2**29 - 1)])
def test_what_is_no_container_is_an_error(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises((AnnotationError, RefusedError)) as caught:  # an empty one holds no pictures
        FaceFolder(tmp_path)
    assert name in str(caught.value) or isinstance(caught.value, RefusedError)


def test_members_that_point_outside_links_and_twins_are_named_and_left(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("../evil.png", "/etc/evil.png", "ok.png", "ok.png"):
            member = tarfile.TarInfo(name)
            member.size = len(PICTURES["train/a/0.png"])
            archive.addfile(member, io.BytesIO(PICTURES["train/a/0.png"]))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    faces = FaceFolder(path)
    assert faces.names == ("ok.png",)
    assert len(faces.notes) == 4


def test_a_picture_that_is_damaged_in_its_archive_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[60:90] = b"\xff" * 30
    path.write_bytes(bytes(data))
    faces = FaceFolder(path)
    with pytest.raises(ImageError, match=r"x\.zip/test/a/2\.png|x\.zip/train/a/0\.png"):
        for k in range(len(faces)):
            faces.read(k)


def test_the_face_of_a_sample_is_the_picture_with_the_shortest_ending(tmp_path: Path) -> None:
    face, other = PICTURES["train/a/0.png"], PICTURES["test/a/2.png"]
    tar(tmp_path / "x.tar", {"d/1.depth.png": other, "d/1.png": face, "d/1.JSON": b'{"label": "x", "caption": "c"}'})
    faces = FaceFolder(tmp_path)
    assert (faces.names, faces.classes) == (("x.tar/d/1.png",), ("x",))
    assert faces.annotations.columns["caption"] == ("c",)
    assert "1 further picture of a sample is not read (x.tar/d/1.depth.png)" in faces.notes


def test_lists_and_names_in_foreign_shards_are_read_or_kept(tmp_path: Path) -> None:
    facts = {"attributes": [1, 0, 1], "landmarks": list(range(10)), "identity": "Ann"}
    tar(tmp_path / "x.tar", {"1.png": PICTURES["train/a/0.png"], "1.json": json.dumps(facts).encode()})
    faces = FaceFolder(tmp_path)
    assert faces.annotations.landmarks[0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert faces.annotations.columns["attributes"] == ([1, 0, 1],)
    assert faces.identities == ("Ann",)


def test_two_labels_of_a_sample_are_an_error(tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", {"1.png": PICTURES["train/a/0.png"], "1.cls": b"3", "1.json": b'{"label": 5}'})
    with pytest.raises(AnnotationError, match=r"1.png has two labels \(3, 5\)"):
        FaceFolder(tmp_path)


def test_facts_of_a_sample_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceaug.data.layouts.shards._MOST_FACTS", 20)
    tar(tmp_path / "x.tar", {"1.png": PICTURES["train/a/0.png"], "1.txt": b"a" * 21})
    with pytest.raises(AnnotationError, match="has 21 bytes; the limit is 20"):
        FaceFolder(tmp_path)

"""A clean lists every folder once, and reads and parses every table once."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from faceaug.clean import CleanPolicy, clean_folder, scene
from faceaug.data import tables as table_module
from faceaug.data.layouts import place
from faceaug.data.metadata_files import METADATA_NAMES
from faceaug.data.tables import ATTRIBUTES, kind_of_table
from tests.clean.tables import write_tables
from tests.clean.zoo import jpeg, messy, tree, write

NAMES = [f"{k:06d}.jpg" for k in range(1, 7)]
Build = Callable[[Path], Path]


def pictures(folder: Path) -> Path:
    for k, name in enumerate(NAMES):
        write(folder / name, jpeg(k))
    return folder


def celeba(root: Path) -> Path:
    pictures(root / "img_align_celeba")
    write_tables(root, NAMES)
    write_tables(root, NAMES, kaggle=True)  # each table in both forms
    return root


def aligned(root: Path) -> Path:
    """CelebA's picture folder itself, with the tables above it."""
    return celeba(root) / "img_align_celeba"


def rewritten(root: Path) -> Path:
    """A table of attributes under another name, which its first lines tell."""
    pictures(root / "img_align_celeba")
    rows = "".join(f"{name},{','.join(['1', '-1'] * 20)}\n" for name in NAMES)
    (root / "mine.csv").write_text(f"image_id,{','.join(ATTRIBUTES)}\n{rows}")
    return root


def imagefolder(root: Path) -> Path:
    pictures(root / "train")
    rows = "".join(f"{name},{k}\n" for k, name in enumerate(NAMES))
    (root / "train" / "metadata.csv").write_text(f"file_name,identity\n{rows}")
    (root / "dataset.json").write_text('{"run": {}}')
    return root


def parquet(root: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    pictures(root / "train")
    from pyarrow import parquet as file

    file.write_table(pyarrow.table({"file_name": NAMES}), root / "train" / "metadata.parquet")
    return root


def coco(root: Path) -> Path:
    pictures(root / "images")
    images = [{"id": k, "file_name": name} for k, name in enumerate(NAMES)]
    boxes = [{"image_id": k, "bbox": [1, 2, 3, 4]} for k in range(len(NAMES))]
    (root / "faces_train.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    return root


def fairface(root: Path) -> Path:
    pictures(root / "train")
    rows = "".join(f"train/{name},20-29,Male,White,True\n" for name in NAMES)
    (root / "fairface_label_train.csv").write_text(f"file,age,gender,race,service_test\n{rows}")
    return root


def twins(root: Path) -> Path:
    """The same rows in two tables, which are compared."""
    imagefolder(root)
    rows = "".join(json.dumps({"file_name": name, "identity": k}) + "\n" for k, name in enumerate(NAMES))
    (root / "train" / "metadata.jsonl").write_text(rows)
    return root


def semicolons(root: Path) -> Path:
    pictures(root)
    rows = "".join(f"{name};{k}\n" for k, name in enumerate(NAMES))
    (root / "metadata.csv").write_text(f"file_name;identity\n{rows}")
    return root


def converted(root: Path) -> Path:
    """A folder that faceaug wrote, with the record of its layout."""
    semicolons(root)
    record = {"run": {"command": "convert"}, "layout": "imagefolder", "finished": True}
    (root / "convert.json").write_text(json.dumps(record))
    return root


def stylegan(root: Path) -> Path:
    pictures(root / "00000")
    labels = [[f"00000/{name}", k % 2] for k, name in enumerate(NAMES)]
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    return root


def rafdb(root: Path) -> Path:
    pictures(root / "Image" / "aligned")
    for k, name in enumerate(NAMES):
        (root / "Image" / "aligned" / name).rename(root / "Image" / "aligned" / f"train_{k:05d}_aligned.jpg")
    rows = "".join(f"train_{k:05d}.jpg {k + 1}\n" for k in range(len(NAMES)))
    (root / "EmoLabel").mkdir()
    (root / "EmoLabel" / "list_patition_label.txt").write_text(rows)
    return root


def yolo(root: Path) -> Path:
    pictures(root / "images")
    (root / "labels").mkdir()
    for name in NAMES:
        (root / "labels" / name).with_suffix(".txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return root


TABLES = {".csv", ".txt", ".json", ".jsonl"}
BUILDS = [
    celeba, aligned, imagefolder, coco, fairface, rewritten, twins, semicolons, converted, stylegan, rafdb, yolo,
]  # fmt: skip


class Reads:
    """What Python opens and lists while it is asked to watch, by an audit hook: hooks cannot be removed."""

    opened: Counter[str] | None = None
    listed: Counter[str] | None = None

    @classmethod
    def note(cls, event: str, args: tuple[Any, ...]) -> None:
        counter = {"open": cls.opened, "os.scandir": cls.listed, "os.listdir": cls.listed}.get(event)
        if counter is not None and isinstance(args[0], (str, os.PathLike)):
            counter[os.path.abspath(args[0])] += 1


@contextmanager
def watched() -> Iterator[tuple[Counter[str], Counter[str]]]:
    if Reads.note not in _HOOKED:
        _HOOKED.append(Reads.note)
        sys.addaudithook(Reads.note)
    Reads.opened, Reads.listed = Counter(), Counter()
    try:
        yield Reads.opened, Reads.listed
    finally:
        Reads.opened = Reads.listed = None


_HOOKED: list[Callable[[str, tuple[Any, ...]], None]] = []


@pytest.mark.parametrize("way", ["in place", "dry run", "copy"])
@pytest.mark.parametrize("build", BUILDS)
def test_a_clean_lists_a_folder_once_and_reads_a_table_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Build, way: str
) -> None:
    folder = build(tmp_path / "faces")
    tables = {str(path) for path in (tmp_path / "faces").rglob("*") if path.suffix in TABLES}
    below = {str(path) for path in folder.rglob("*") if path.is_dir()}
    read: Counter[str] = Counter()
    begun: Counter[str] = Counter()
    real = table_module._bytes

    def counting(path: Path, most: int | None, limit: int) -> bytes:
        (read if most is None else begun)[os.path.abspath(path)] += 1
        return real(path, most, limit)

    monkeypatch.setattr(table_module, "_bytes", counting)
    with watched() as (opened, listed):
        out = tmp_path / "out" if way == "copy" else None
        clean_folder(folder, CleanPolicy(max_remove=1), dry_run=way == "dry run", out=out, workers=0)
    unread = {name for name in tables if build is aligned and way != "copy" and name.endswith(".csv")}
    assert {name: read[name] for name in tables} == {name: int(name not in unread) for name in tables}
    assert {name for name in tables if begun[name] > 1} == set()  # a reader knows its tables by their first lines
    others = {name for name in tables if not kind_of_table(Path(name).name) and Path(name).name not in METADATA_NAMES}
    copied = others if way == "copy" else set()  # like any other file
    assert {name: opened[name] for name in tables} == {
        name: read[name] + begun[name] + (name in copied) for name in tables
    }
    assert {name: listed[name] for name in below} == dict.fromkeys(below, 1)


@pytest.mark.parametrize("copying", [False, True])
@pytest.mark.parametrize("build", [celeba, imagefolder, parquet, twins, semicolons, converted])
def test_a_table_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Build, copying: bool) -> None:
    parsed: Counter[Path] = Counter()
    for name in ("parse_table", "parse_metadata"):
        real = getattr(place, name)

        def counting(path: Path, *rest: Any, real: Any = real) -> Any:
            parsed[path] += 1
            return real(path, *rest)

        monkeypatch.setattr(place, name, counting)
    out = tmp_path / "out" if copying else None
    folder = build(tmp_path / "faces")
    clean_folder(folder, CleanPolicy(max_remove=1), out=out, workers=0)
    assert {count for path, count in parsed.items() if path.is_relative_to(folder)} == {1}


def test_a_run_that_ends_while_another_one_looks_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = messy(tmp_path / "celeba")

    def look_late(*args: Any, **options: Any) -> scene.Scene:
        found = scene.look(*args, **options)
        monkeypatch.undo()
        assert clean_folder(folder).run == "0001"
        return found

    monkeypatch.setattr("faceaug.clean.folder.look", look_late)
    report = clean_folder(folder)
    after = tree(folder)
    assert report.run is None
    assert (report.set_aside, report.renames, report.left) == ((), (), ())
    assert clean_folder(folder).run is None
    assert tree(folder) == after

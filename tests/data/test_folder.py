from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from faceaug.data.folder import FaceFolder, table_paths
from faceaug.data.image import encode_png
from faceaug.data.layouts import Place
from faceaug.draws import stream
from faceaug.errors import AnnotationError, ArgumentError, ImageError, RefusedError
from faceaug.storage.walk import list_folder
from tests.conftest import picture

PNG = encode_png(picture(0, height=10, width=8))
ATTRIBUTE_ROW = " ".join(["1", "-1"] * 20)


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(PNG)
    return root


def celeba_tables(folder: Path, names: list[str]) -> None:
    from faceaug.data.annotations import ATTRIBUTES

    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{name} {ATTRIBUTE_ROW}\n" for name in names)
    (folder / "list_attr_celeba.txt").write_text(f"{len(names)}\n{' '.join(ATTRIBUTES)}\n{rows}")
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} {k + 10}\n" for k, name in enumerate(names)))
    (folder / "list_eval_partition.csv").write_text(
        "image_id,partition\n" + "".join(f"{name},{k % 3}\n" for k, name in enumerate(names))
    )


# Layouts -------------------------------------------------------------------------------------------------------------

TWO = ["000001.jpg", "000002.jpg"]


@pytest.mark.parametrize(
    ("pictures", "tables", "opened"),
    [
        ("img_align_celeba/", "", ""),
        ("img_align_celeba/img_align_celeba/", "", ""),
        ("img_align_celeba/", "", "img_align_celeba"),
        ("img_align_celeba/img_align_celeba/", "", "img_align_celeba/img_align_celeba"),
        ("img_align_celeba/img_align_celeba/", "", "img_align_celeba"),
        ("", "", ""),
    ],
)
def test_celeba_is_read_in_every_form_it_is_unpacked_in(
    tmp_path: Path, pictures: str, tables: str, opened: str
) -> None:
    put(tmp_path / "celeba", *(pictures + name for name in TWO))
    celeba_tables(tmp_path / "celeba" / tables, TWO)
    folder = FaceFolder(tmp_path / "celeba" / opened)
    assert folder.layout == "celeba"
    assert folder.annotations.identity.tolist() == [10, 11]
    assert folder.annotations.partition.tolist() == [0, 1]
    assert folder.annotations.attributes[0, :2].tolist() == [1, -1]
    assert folder.classes == ()
    assert folder.notes == ()


def test_celeba_without_tables_is_still_celeba(tmp_path: Path) -> None:
    folder = FaceFolder(put(tmp_path, "img_align_celeba/1.jpg"))
    assert folder.layout == "celeba"
    assert folder.annotations.identity.tolist() == [-1]


def test_a_folder_opened_by_a_relative_name_finds_the_tables_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "img_align_celeba/000001.jpg")
    celeba_tables(tmp_path, ["000001.jpg"])
    monkeypatch.chdir(tmp_path / "img_align_celeba")
    assert table_paths(Place.of(list_folder("."))) != []
    assert FaceFolder(".").annotations.identity.tolist() == [10]


def test_rows_without_a_picture_are_noted_and_a_foreign_table_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "img_align_celeba/000002.jpg")
    celeba_tables(tmp_path, TWO)
    folder = FaceFolder(tmp_path)
    assert folder.annotations.identity.tolist() == [11]
    assert folder.notes[0] == "list_attr_celeba.txt: 1 row has no picture, of 2 (000001.jpg)"
    celeba_tables(tmp_path, ["a.jpg"])
    with pytest.raises(AnnotationError, match="is a picture here"):
        FaceFolder(tmp_path)


def test_a_row_belongs_to_one_picture_of_its_name_and_the_others_are_noted(tmp_path: Path) -> None:
    put(tmp_path, "aligned/000001.jpg", "img_align_celeba/000001.jpg", "wild/000001.jpg")
    celeba_tables(tmp_path, ["000001.jpg"])
    folder = FaceFolder(tmp_path)
    assert folder.annotations.identity.tolist() == [-1, 10, -1]
    assert folder.notes == ("2 pictures share a name and get no annotations (aligned/000001.jpg, wild/000001.jpg)",)


def test_class_folders_become_labels_in_sorted_order(tmp_path: Path) -> None:
    folder = FaceFolder(put(tmp_path, "b/2.png", "a/x/1.png", "c/3.png"))
    assert folder.layout == "classes"
    assert folder.classes == ("a", "b", "c")
    assert folder.names == ("a/x/1.png", "b/2.png", "c/3.png")
    assert folder.annotations.label.tolist() == [0, 1, 2]


def test_a_picture_beside_sub_folders_makes_a_flat_folder(tmp_path: Path) -> None:
    folder = FaceFolder(put(tmp_path, "a/1.png", "2.png"))
    assert folder.layout == "flat"
    assert folder.classes == ()
    assert folder.annotations.label.tolist() == [-1, -1]


def test_imagefolder_metadata_is_read_and_its_texts_are_classes(tmp_path: Path) -> None:
    put(tmp_path, "img/1.png", "img/2.png", "3.png")
    (tmp_path / "metadata.csv").write_text("file_name,label\nimg/1.png,old\nimg/2.png,young\n")
    folder = FaceFolder(tmp_path)
    assert folder.layout == "imagefolder"
    assert folder.classes == ("old", "young")
    assert folder.annotations.label.tolist() == [-1, 0, 1]
    assert folder.notes == ("metadata.csv: 1 picture has no row",)


def test_imagefolder_splits_bring_their_own_tables_and_their_part_of_the_data(tmp_path: Path) -> None:
    put(tmp_path, "train/1.png", "validation/1.png", "test/in/1.png", "more/1.png")
    for split, name in [("train", "1.png"), ("validation", "1.png"), ("test", "in/1.png"), ("more", "1.png")]:
        (tmp_path / split / "metadata.jsonl").write_text(f'{{"file_name": "{name}", "label": "{split[0]}"}}\n')
    folder = FaceFolder(tmp_path)
    assert folder.layout == "imagefolder"
    assert folder.names == ("more/1.png", "test/in/1.png", "train/1.png", "validation/1.png")
    assert folder.annotations.partition.tolist() == [-1, 2, 0, 1]
    assert [folder.classes[k] for k in folder.annotations.label] == ["m", "t", "t", "v"]


# Listing -------------------------------------------------------------------------------------------------------------


def test_the_order_is_that_of_the_bytes_and_not_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Z.png", "a.png", "a/1.png", "a.b/1.png", "é.png", "\uffff.png", "\U0001f600.png", "10.png", "9.png"]
    put(tmp_path, *names)
    expected = tuple(sorted(names, key=os.fsencode))
    assert FaceFolder(tmp_path).names == expected
    scan, times = os.scandir, iter(range(10_000))

    class Shuffled:
        def __init__(self, path: object) -> None:
            with scan(path) as entries:
                found = list(entries)
            order = stream(1, index=next(times), slot="tests/scandir").permutation(len(found))
            self.entries = [found[k] for k in order]

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    for _ in range(10):
        assert tuple(file.name for file in list_folder(tmp_path).files) == expected


def test_hidden_files_junk_and_partial_outputs_are_not_listed(tmp_path: Path) -> None:
    put(tmp_path, "1.png", ".hidden.png", "._1.png", ".faceaug/2.png", "Thumbs.db", "desktop.ini", "3.png.partial")
    put(tmp_path, "__MACOSX/4.png")
    listing = list_folder(tmp_path)
    assert [file.name for file in listing.files] == ["1.png"]
    assert listing.skipped == ()


def test_only_endings_of_pictures_are_pictures_in_any_case(tmp_path: Path) -> None:
    put(tmp_path, "a.JPG", "b.jpeg", "c.webp", "d.bmp", "e.PnG", "f.jxl", "g.txt", "h")
    assert FaceFolder(tmp_path).names == ("a.JPG", "b.jpeg", "c.webp", "d.bmp", "e.PnG")
    assert len(list_folder(tmp_path).files) == 8


def test_links_and_odd_files_are_named_and_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", "secret.png")
    root = put(tmp_path / "root", "1.png")
    (root / "file.png").symlink_to(outside / "secret.png")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "dangling.png").symlink_to(root / "nothing")
    os.mkfifo(root / "fifo.png")
    here = Path.cwd()
    os.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.png")
    os.chdir(here)
    listing = list_folder(root)
    assert [file.name for file in listing.files] == ["1.png"]
    link, odd = "is a symbolic link", "is not a regular file"
    assert listing.skipped == (
        ("dangling.png", link),
        ("fifo.png", odd),
        ("file.png", link),
        ("folder", link),
        ("loop", link),
        ("s.png", odd),
    )
    assert listing.links == ("dangling.png", "file.png", "folder", "loop")
    links, *others = FaceFolder(root).notes
    assert links.startswith(f"4 symbolic links were not followed (dangling.png leads to {root / 'nothing'}); give")
    assert others == ["fifo.png: is not a regular file; left alone", "s.png: is not a regular file; left alone"]
    (tmp_path / "way").symlink_to(root)  # the folder itself may be given by a link
    assert FaceFolder(tmp_path / "way").names == ("1.png",)


@pytest.mark.parametrize("kind", ["files", "folder"])
def test_a_folder_of_links_is_refused_with_the_reason_and_an_example(tmp_path: Path, kind: str) -> None:
    real, links = put(tmp_path / "real", "1.png", "2.png"), tmp_path / "links"
    links.mkdir()
    for name in ("1.png", "2.png") if kind == "files" else ("faces",):
        (links / name).symlink_to(real / name if kind == "files" else real)
    found = "2 symbolic links (1.png leads to" if kind == "files" else "a symbolic link (faces leads to"
    with pytest.raises(RefusedError, match=f"no pictures in it .*only {re.escape(found)}.*not followed.*cp -rL"):
        FaceFolder(links)


def test_names_that_are_not_utf8_are_listed_read_and_kept(tmp_path: Path) -> None:
    raw = b"face\xff\n.png"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw)).write_bytes(PNG)
    folder = FaceFolder(tmp_path)
    assert os.fsencode(folder.names[0]) == raw
    assert folder[0][0].shape == (10, 8, 3)
    assert repr(folder).endswith("1 picture, layout flat")


def test_a_very_deep_folder_is_listed(tmp_path: Path) -> None:
    deep = "d/" * 1200
    here = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    Path("1.png").write_bytes(PNG)
    os.chdir(here)
    listing = list_folder(tmp_path)
    os.chdir(tmp_path / Path(deep))
    os.remove("1.png")
    for _ in range(1200):  # by hand: shutil.rmtree, with which pytest tidies up, gives up at 1,000
        os.chdir("..")
        os.rmdir("d")
    os.chdir(here)
    assert [file.name for file in listing.files] == [deep + "1.png"]


def test_what_vanishes_while_it_is_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "1.png", "sub/2.png")
    scan = os.scandir

    class Vanishing:
        name = "gone.png"

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            raise FileNotFoundError(2, "No such file or directory")

    class Scan:
        def __init__(self, path: Path) -> None:
            if path.name == "sub":
                raise PermissionError(13, "Permission denied")
            with scan(path) as entries:
                self.entries = [*entries, Vanishing()]

        def __enter__(self) -> list[object]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Scan)
    listing = list_folder(tmp_path)
    assert [file.name for file in listing.files] == ["1.png"]
    assert listing.skipped == (
        ("gone.png", "cannot be examined (No such file or directory)"),
        ("sub", "cannot be listed (Permission denied)"),
    )


def test_hard_links_are_files_of_one_inode(tmp_path: Path) -> None:
    put(tmp_path, "1.png")
    os.link(tmp_path / "1.png", tmp_path / "2.png")
    first, second = list_folder(tmp_path).files
    assert (first.device, first.inode) == (second.device, second.inode)
    assert first.size == len(PNG)


def test_no_pictures_is_refused_and_no_folder_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(RefusedError, match="no pictures in it"):
        FaceFolder(tmp_path)
    with pytest.raises(ArgumentError, match="no such folder") as caught:
        FaceFolder(tmp_path / "missing")
    assert caught.value.exit_code == 2
    with pytest.raises(ArgumentError, match="is a file, not a folder"):
        FaceFolder(tmp_path / "a.txt")


# Items ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def faces(tmp_path: Path) -> FaceFolder:
    names = [f"{k:06}.jpg" for k in range(1, 13)]
    for k, name in enumerate(names):
        put(tmp_path, f"img_align_celeba/{name}")
        (tmp_path / "img_align_celeba" / name).write_bytes(encode_png(picture(k, height=10, width=8)))
    celeba_tables(tmp_path, names)
    return FaceFolder(tmp_path)


def test_targets_collate_to_the_shapes_and_types_of_the_contract(faces: FaceFolder) -> None:
    images, target = default_collate([faces[k] for k in range(4)])
    assert images.shape == (4, 10, 8, 3)
    assert images.dtype == torch.uint8
    kinds = {key: (tuple(value.shape), value.dtype) for key, value in target.items()}
    assert kinds == {
        "attributes": ((4, 40), torch.int8),
        "identity": ((4,), torch.int64),
        "label": ((4,), torch.int64),
        "partition": ((4,), torch.int8),
        "landmarks": ((4, 5, 2), torch.float32),
        "visible": ((4, 5), torch.bool),
        "origin": ((4,), torch.int64),
        "source": ((4,), torch.int64),
        "weight": ((4,), torch.float32),
        "index": ((4,), torch.int64),
    }
    assert target["index"].tolist() == [0, 1, 2, 3]
    assert target["source"].tolist() == [-1] * 4
    assert not target["visible"].any()


def test_items_are_counted_from_both_ends_and_no_further(faces: FaceFolder) -> None:
    assert len(faces) == len(list(faces)) == 12
    image, target = faces[-1]
    assert np.array_equal(image, faces[11][0])
    assert target["index"] == 11
    assert faces[np.int64(3)][1]["index"] == 3
    for index in (12, -13):
        with pytest.raises(IndexError):
            faces[index]
        with pytest.raises(IndexError):
            faces.target(index)


def test_an_unreadable_picture_is_an_error_that_names_it(faces: FaceFolder) -> None:
    faces.path(2).write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"000003\.jpg: is not a JPEG"):
        faces[2]
    assert faces.target(2)["identity"] == 12


def test_what_is_known_cannot_be_changed_by_accident(faces: FaceFolder) -> None:
    for view in (faces, pickle.loads(pickle.dumps(faces))):
        with pytest.raises(ValueError, match="read-only"):
            view.annotations.identity[0] = 5
        with pytest.raises(AttributeError):
            view.annotations.identity = np.zeros(12)
        target = view.target(0)
        target["attributes"][:] = 0  # a target is the caller's own
        assert view.target(0)["attributes"].any()


def test_two_workers_give_the_items_of_none(faces: FaceFolder) -> None:
    alone = list(DataLoader(faces, batch_size=4))
    together = list(DataLoader(faces, batch_size=4, num_workers=2))
    assert len(together) == 3
    for (images, target), (others, other) in zip(alone, together, strict=True):
        assert torch.equal(images, others)
        assert all(torch.equal(target[key], other[key]) or key == "landmarks" for key in target)


def test_a_folder_travels_to_a_spawned_process(faces: FaceFolder) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_identity_of, (faces, 5)) == 15


def _identity_of(faces: FaceFolder, index: int) -> int:
    return faces[index][1]["identity"]


def test_real_faces_are_joined_to_their_rows(celeba200: Path) -> None:
    folder = FaceFolder(celeba200)
    assert (len(folder), folder.layout, folder.notes) == (2500, "celeba", ())
    rows = dict(line.split() for line in (celeba200 / "identity_CelebA.txt").read_text().splitlines())
    for index in range(0, 2500, 97):
        name = folder.names[index].split("/")[1]
        assert folder.target(index)["identity"] == int(rows[name])
    assert (
        FaceFolder(celeba200 / "img_align_celeba").annotations.identity.tolist() == folder.annotations.identity.tolist()
    )
    assert len(pickle.dumps(folder)) < 1_500_000


def test_a_folder_whose_name_ends_like_a_file_being_written_is_a_folder_of_pictures(tmp_path: Path) -> None:
    put(tmp_path / "faces.partial", "a.partial/1.png", "2.png", ".4.partial/5.png")
    (tmp_path / "faces.partial" / "3.png.partial").write_bytes(b"half")
    assert FaceFolder(tmp_path / "faces.partial").names == ("2.png", "a.partial/1.png")


def test_a_listed_folder_is_read_like_its_path_without_listing_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "img_align_celeba/000001.jpg", "img_align_celeba/000002.jpg")
    celeba_tables(tmp_path, TWO)
    (tmp_path / "link.jpg").symlink_to("000001.jpg")
    whole, listing = FaceFolder(tmp_path), list_folder(tmp_path)

    def fail(path: object) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(os, "scandir", fail)
    folder = FaceFolder.from_listing(listing)
    assert (folder.root, folder.names, folder.layout) == (whole.root, whole.names, whole.layout)
    for name, array in whole.annotations.arrays().items():
        np.testing.assert_array_equal(folder.annotations.arrays()[name], array)
        assert not folder.annotations.arrays()[name].flags.writeable
    assert (*folder.notes, *listing.notes()) == whole.notes
    assert listing.notes() != []
    assert FaceFolder.from_listing(listing, "flat").layout == "flat"

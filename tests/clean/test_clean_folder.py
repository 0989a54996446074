from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_jpeg, encode_png, read_image
from faceaug.errors import AnnotationError, ArgumentError, FaceAugError, RefusedError
from faceaug.storage import walk
from tests.clean.zoo import age_folders, celeba, contents, good, jpeg, messy, names, tree, write
from tests.conftest import picture

ALL = CleanPolicy(max_remove=1)


def test_a_messy_folder_is_cleaned_and_undo_gives_it_back_exactly(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    before, everything = tree(folder), contents(folder)
    report = clean_folder(folder)
    assert report.counts() == {
        "original": 27,
        "renamed": 3,
        "unreadable": 2,
        "byte duplicates": 2,
        "pixel duplicates": 0,
        "near duplicates": 0,
        "skipped": 0,
        "cleaned": 23,
    }
    assert names(folder) == [f"{k:06d}.jpg" for k in [*range(1, 23), 24]]
    assert contents(folder) == everything
    assert report.rows_without_file == {"list_eval_partition.txt": 4}
    assert report.run == "0001"
    undone = undo_clean(folder)
    assert (undone.runs, undone.restored, undone.left) == (("0001",), 7, ())
    assert tree(folder) == before


def test_a_second_clean_changes_nothing_and_makes_no_run(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    clean_folder(folder)
    before = tree(folder)
    report = clean_folder(folder)
    assert report.run is None
    assert report.renamed == report.skipped == len(report.set_aside) == 0
    assert tree(folder) == before
    assert os.listdir(folder / ".faceaug" / "runs") == ["0001"]


def test_a_number_whose_file_was_set_aside_stays_its_own(tmp_path: Path) -> None:
    # 000002 is a copy and leaves; 00002.jpg must not become 000002 in the next run.
    files = good(1, 3, 4, 5, 6, 7, 8, 9) | {"000002.jpg": jpeg(1), "00002.jpg": jpeg(20)}
    folder = celeba(tmp_path / "celeba", files, known=9)
    assert clean_folder(folder).renamed == 0
    assert clean_folder(folder).run is None
    assert "00002.jpg" in names(folder)


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    before = tree(folder)
    plan = clean_folder(folder, dry_run=True)
    assert tree(folder) == before
    assert not (folder / ".faceaug").exists()
    done = clean_folder(folder)
    assert plan.dry_run
    assert plan.run is None
    assert (plan.renames, plan.set_aside, plan.counts()) == (done.renames, done.set_aside, done.counts())


def test_of_duplicates_the_test_picture_stays_then_the_one_with_rows_then_the_lowest(tmp_path: Path) -> None:
    files = good(1, 2, 3, 4, 5, 6, 7, 8) | {"000009.jpg": jpeg(1), "000010.jpg": jpeg(2), "extra.jpg": jpeg(3)}
    folder = celeba(tmp_path / "celeba", files, known=10, partition={9: 2, 10: 0})
    report = clean_folder(folder, ALL)
    kept = {entry.name.rpartition("/")[2]: entry.keeper.rpartition("/")[2] for entry in report.set_aside}
    assert kept == {"000001.jpg": "000009.jpg", "000010.jpg": "000002.jpg", "extra.jpg": "000003.jpg"}
    assert [conflict.says for conflict in report.conflicts] == ["partition train and test"]


@pytest.mark.parametrize("below", ["", "a/", "img_align_celeba/"])
def test_a_split_of_faceaug_decides_which_copy_stays_and_is_checked_for_leaks(below: str, tmp_path: Path) -> None:
    (tmp_path / below).mkdir(exist_ok=True)
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / below / name).write_bytes(jpeg(1))
    (tmp_path / below / "3.jpg").write_bytes(jpeg(2))
    rows = f"{below}1.jpg,train,1\n{below}2.jpg,test,2\n{below}3.jpg,train,3\n"
    (tmp_path / "faceaug-split.csv").write_text(f"file_name,partition,group\n{rows}")
    report = clean_folder(tmp_path, CleanPolicy(max_remove=0.5, near=False, repair_names=False), dry_run=True)
    assert [(entry.name, entry.keeper) for entry in report.set_aside] == [(f"{below}1.jpg", f"{below}2.jpg")]
    assert [(leak.partition, leak.keeper_partition) for leak in report.leaks] == [("train", "test")]


def test_pictures_with_the_same_pixels_in_other_bytes_are_duplicates(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3, 4, 5, 6), known=6)
    write(folder / "img_align_celeba" / "copy.png", encode_png(read_image(folder / "img_align_celeba" / "000004.jpg")))
    report = clean_folder(folder)
    assert [(e.name, e.kind) for e in report.set_aside] == [("img_align_celeba/copy.png", "same pixels")]


def test_protected_pictures_are_never_set_aside(tmp_path: Path) -> None:
    files = good(1, 2, 3) | {"000004.jpg": jpeg(1), "000005.jpg": jpeg(1), "000006.jpg": b"broken"}
    folder = celeba(tmp_path / "celeba", files, known=6)
    policy = CleanPolicy(max_remove=1, protect=("000004.jpg", "img_align_celeba/00000[56].jpg"))
    report = clean_folder(folder, policy)
    assert [entry.name for entry in report.set_aside] == ["img_align_celeba/000001.jpg"]
    assert report.left == (
        (
            "img_align_celeba/000006.jpg",
            "is not a JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, HEIC or PNM picture; protected",
        ),
    )
    with pytest.raises(ArgumentError, match="matches no picture"):
        clean_folder(folder, CleanPolicy(protect=("00004.jpeg",)))
    whole = CleanPolicy(protect=(str(folder / "img_align_celeba"),))
    assert clean_folder(folder, whole).set_aside == ()


def test_above_the_largest_share_nothing_is_changed(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3) | {"000004.jpg": jpeg(1)}, known=4)
    before = tree(folder)
    with pytest.raises(RefusedError, match=r"1 of 4 pictures would be set aside \(25%\).*--max-remove"):
        clean_folder(folder)
    assert tree(folder) == before
    assert clean_folder(folder, CleanPolicy(max_remove=0.25)).cleaned == 3
    with pytest.raises(ArgumentError):
        CleanPolicy(max_remove=20)


def test_a_table_that_lies_changes_nothing(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    (folder / "identity_CelebA.txt").write_text("000001.jpg\n")
    before = tree(folder)
    with pytest.raises(AnnotationError, match="identity_CelebA"):
        clean_folder(folder)
    assert tree(folder) == before
    assert not (folder / ".faceaug").exists()


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(RefusedError, match="no pictures"):
        clean_folder(tmp_path)
    with pytest.raises(RefusedError, match="no run to undo"):
        undo_clean(tmp_path)
    with pytest.raises(ArgumentError):
        clean_folder(tmp_path / "missing")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_flat_folder_of_arbitrary_names_is_never_renamed(tmp_path: Path) -> None:
    for k, name in enumerate(["1.jpg", "12345.jpg", "me.JPG", "IMG (1).jpg", "000001.jpg"]):
        write(tmp_path / name, jpeg(k))
    assert clean_folder(tmp_path).run is None


def test_a_flat_folder_of_six_digit_names_is_repaired_without_tables(tmp_path: Path) -> None:
    for k, name in enumerate(["000001.jpg", "000002.jpg", "000003.JPG", "12.jpg"]):
        write(tmp_path / name, jpeg(k))
    assert {r.old: r.new for r in clean_folder(tmp_path).renames} == {
        "000003.JPG": "000003.jpg",
        "12.jpg": "000012.jpg",
    }


def test_a_damaged_name_on_something_that_is_no_jpeg_is_not_repaired(tmp_path: Path) -> None:
    folder = celeba(
        tmp_path / "celeba", good(1, 2) | {"000003.JPG": encode_png(picture(3, height=8, width=8))}, known=3
    )
    assert clean_folder(folder).run is None


def test_class_folders_keep_their_state_beside_them_and_report_what_two_classes_share(tmp_path: Path) -> None:
    folder = tmp_path / "classes"
    for name, seed in {"cats/1.jpg": 1, "dogs/1.jpg": 2, "cats/2.jpg": 3, "dogs/2.jpg": 1, "dogs/3.jpg": 4}.items():
        write(folder / name, jpeg(seed))
    age_folders(folder)
    before = tree(folder)
    report = clean_folder(folder)
    assert [(e.name, e.keeper) for e in report.set_aside] == [("dogs/2.jpg", "cats/1.jpg")]
    assert [c.says for c in report.conflicts] == ["class dogs and cats"]
    assert sorted(os.listdir(tmp_path)) == [".classes.faceaug", "classes"]
    assert (tmp_path / ".classes.faceaug" / "set-aside" / "0001" / "dogs" / "2.jpg").is_file()
    assert clean_folder(folder).run is None
    undo_clean(folder)
    assert tree(folder) == before


@pytest.mark.parametrize("ending", [".jpg", ".png", ""])
def test_pictures_named_by_metadata_stay_so_that_the_folder_can_still_be_read(tmp_path: Path, ending: str) -> None:
    for k, name in enumerate(["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]):
        write(tmp_path / name, jpeg(k % 3))
    write(tmp_path / "f.jpg", b"no picture")
    rows = [("a", "train"), ("b", "train"), ("d", "test"), ("f", "train")]
    text = "".join(f"{name}{ending},{part}\n" for name, part in rows)
    (tmp_path / "metadata.csv").write_text(f"file_name,partition\n{text}")
    report = clean_folder(tmp_path)
    assert [(e.name, e.keeper) for e in report.set_aside] == [("e.jpg", "b.jpg")]
    assert [name for name, _ in report.left] == ["a.jpg", "f.jpg"]
    assert len(FaceFolder(tmp_path)) == 5


def test_a_link_to_a_sibling_folder_and_to_itself_loses_nothing(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3, 4, 5), known=5)
    (folder / "again").symlink_to("img_align_celeba")
    (folder / "img_align_celeba" / "loop").symlink_to(".")
    (folder / "img_align_celeba" / "000006.jpg").symlink_to("000001.jpg")
    report = clean_folder(folder)
    assert report.run is None
    assert {why for _, why in report.left} == {"is a symbolic link"}
    assert len(names(folder)) == 7


def test_a_fifo_is_reported_and_never_opened(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2), known=2)
    os.mkfifo(folder / "img_align_celeba" / "pipe.jpg")
    assert clean_folder(folder).left == (("img_align_celeba/pipe.jpg", "is not a regular file"),)


def test_hard_links_are_one_file_and_never_duplicates(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2), known=3)
    os.link(folder / "img_align_celeba" / "000001.jpg", folder / "img_align_celeba" / "000003.jpg")
    report = clean_folder(folder)
    assert report.run is None
    assert "1 further names" in report.notes[0]


def test_odd_names_survive_and_are_printed_safely(tmp_path: Path) -> None:
    odd = [
        "".join(["a", chr(0xDCFF), ".jpg"]),
        "new\nline.jpg",
        "\x1b[31mred.jpg",
        "e\u0301.jpg",
        "\u00e9.jpg",
        "x" * 250 + ".jpg",
    ]
    for name in odd:
        write(tmp_path / name, jpeg(1))
    before = tree(tmp_path)
    report = clean_folder(tmp_path, ALL)
    assert report.byte_duplicates == 5
    assert "\x1b" not in report.summary(verbose=True)
    assert report.to_html().encode("utf-8")
    written = json.loads((tmp_path / ".faceaug" / "runs" / "0001" / "report.json").read_bytes())
    assert [e["name"] for e in written["set_aside"]] == [e.name for e in report.set_aside]
    undo_clean(tmp_path)
    assert {k: v[2] for k, v in tree(tmp_path).items()} == {k: v[2] for k, v in before.items()}


def test_equal_names_in_different_folders_are_kept_apart(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    for k in range(6):
        write(folder / f"part{k}" / "same.jpg", jpeg(1))
    before = tree(folder)
    report = clean_folder(folder, ALL)
    assert report.byte_duplicates == 5
    assert len(list((tmp_path / ".faces.faceaug" / "set-aside").rglob("same.jpg"))) == 5
    undo_clean(folder)
    assert tree(folder) == before


def test_the_report_does_not_depend_on_the_order_of_files_nor_on_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = messy(tmp_path / "celeba")
    expected = json.dumps(clean_folder(folder, dry_run=True, workers=0).to_json())
    assert json.dumps(clean_folder(folder, dry_run=True, workers=2).to_json()) == expected
    real = os.scandir
    for seed in range(4):

        class Shuffled(list[os.DirEntry[str]]):
            def __enter__(self) -> Shuffled:
                return self

            def __exit__(self, *_: object) -> None: ...

        def shuffled(path: Path, seed: int = seed) -> Shuffled:
            with real(path) as found:
                entries = Shuffled(found)
            random.Random(seed).shuffle(entries)
            return entries

        monkeypatch.setattr(walk.os, "scandir", shuffled)
        assert json.dumps(clean_folder(folder, dry_run=True).to_json()) == expected


def test_two_runs_are_undone_one_by_one_or_all_at_once(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    first = tree(folder)
    clean_folder(folder)
    write(folder / "img_align_celeba" / "more.jpg", jpeg(4))
    age_folders(folder)
    second = tree(folder)
    clean_folder(folder)
    assert undo_clean(folder).runs == ("0002",)
    assert tree(folder) == second
    clean_folder(folder)
    assert undo_clean(folder, all_runs=True).runs == ("0003", "0001")
    assert set(tree(folder)) == {*first, "img_align_celeba/more.jpg"}
    with pytest.raises(RefusedError, match="no run to undo"):
        undo_clean(folder)


def test_an_undo_leaves_what_changed_and_puts_the_rest_back(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    clean_folder(folder)
    pictures = folder / "img_align_celeba"
    (pictures / "000021.jpg").write_bytes(jpeg(99))
    write(pictures / "000025.jpg", jpeg(98))
    (folder / ".faceaug" / "set-aside" / "0001" / "img_align_celeba" / "000027.jpg").rename(tmp_path / "gone.jpg")
    report = undo_clean(folder)
    assert {name.rpartition("/")[2]: why for name, why in report.left} == {
        "00021.jpg": "has changed since the run",
        "000025.jpg": "its new name is taken",
        "000027.jpg": "is gone from where the run put it",
    }
    assert report.restored == 4
    assert (pictures / "000025.jpg").read_bytes() == jpeg(98)
    (pictures / "000025.jpg").rename(tmp_path / "mine.jpg")
    assert undo_clean(folder).restored == 1
    assert (pictures / "000025.jpg").read_bytes() == jpeg(5)


def test_a_name_that_fits_several_numbers_is_reported_with_them(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3) | {"00004.jpg": jpeg(4)}, known=49)
    report = clean_folder(folder)
    assert report.renamed == 0
    (unclear,) = report.unclear
    assert unclear.why == "several numbers fit"
    assert "000004.jpg" in unclear.candidates


def test_progress_counts_every_picture_and_every_move(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    ends: dict[str, tuple[int, int]] = {}
    report = clean_folder(folder, progress=lambda phase, done, total, _: ends.update({phase: (done, total)}))
    assert ends["reading"] == (27, 27)
    done, moves = ends["moving"]
    assert done == moves >= len(report.set_aside) + len(report.renames)
    undo_clean(folder, progress=lambda phase, done, total, _: ends.update({phase: (-done, -total)}))
    assert ends["moving"] == (-moves, -moves)


def test_cleaning_never_loads_torch(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    script = (
        "import sys; from faceaug import clean_folder, undo_clean; "
        "clean_folder(sys.argv[1], workers=2); undo_clean(sys.argv[1]); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_report_reads_well(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    report = clean_folder(folder)
    assert report.sizes() == [
        ("pictures before", 27), ("set aside", 4), ("  unreadable", 2), ("  same bytes", 2), ("pictures now", 23),
    ]  # fmt: skip
    text = report.summary()
    assert "names repaired: 3" in text
    assert "list_eval_partition.txt: 4 rows have no picture\n" in text
    html = (folder / ".faceaug" / "runs" / "0001" / "report.html").read_text()
    assert "img_align_celeba/000022.JPG" in html
    assert undo_clean(folder).summary() == "run 0001 undone: 7 files have their old names again"


def test_a_disk_that_does_not_answer_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "000001.jpg", encode_jpeg(picture(1)))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("faceaug.data.folder.read_layout", fail)
    with pytest.raises(FaceAugError, match=r"cannot be read \(Input/output error\); nothing was changed"):
        clean_folder(tmp_path)


@pytest.mark.slow
def test_real_faces_made_messy_are_cleaned_and_given_back(celeba200: Path, tmp_path: Path) -> None:
    source = celeba200 / "img_align_celeba"
    folder = tmp_path / "celeba"
    files = sorted(source.iterdir())[:300]
    known = [path.name for path in files]
    for k, path in enumerate(files):
        data = path.read_bytes()
        write(folder / "img_align_celeba" / (path.name.replace(".jpg", ".JPG") if k % 30 == 0 else path.name), data)
        if k % 40 == 1:
            write(folder / "img_align_celeba" / f"{path.stem} (1).jpg", data)
        if k % 60 == 2:
            write(folder / "img_align_celeba" / f"{path.stem}-pixels.png", encode_png(read_image(path)))
            write(folder / "img_align_celeba" / f"{path.stem}-near.jpg", encode_jpeg(read_image(path), quality=60))
    write(folder / "list_eval_partition.txt", "".join(f"{name} 0\n" for name in known).encode())
    age_folders(folder)
    before = tree(folder)
    report = clean_folder(folder)
    assert (report.renamed, report.byte_duplicates, report.pixel_duplicates) == (10, 8, 5)
    undo_clean(folder)
    assert tree(folder) == before

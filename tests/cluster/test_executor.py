from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from faceaug.clean import clean_folder
from faceaug.clean.signatures import Signature, read_signature
from faceaug.cluster import ClusterExecutor, worker
from faceaug.cluster.nodes import versions_here
from faceaug.data.image import encode_png
from faceaug.data.reads import READS
from faceaug.errors import FaceAugError, ImageError, RefusedError
from faceaug.executor import AHEAD, CHUNK
from faceaug.faces import align_folder
from faceaug.mix import expand_dataset
from faceaug.mix.blocks import Block
from tests.cluster.engines import LocalEngine
from tests.conftest import picture


@pytest.fixture(autouse=True)
def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of the tests is not set up as that of a cluster: it would lose its stderr."""
    monkeypatch.setattr(worker, "prepare_process", lambda: None)


def square(number: int) -> int:
    return number * number


def fail_at_seven(number: int) -> int:
    if number == 7:
        raise ImageError("a.jpg", "is empty")
    return number


def why(_: int, reason: str) -> int:
    assert reason
    return -1


@given(st.integers(0, 300), st.integers(1, 70), st.sets(st.integers(0, 299), max_size=4))
def test_results_come_in_the_order_of_the_tasks_whatever_dies(tasks: int, chunk: int, killers: set[int]) -> None:
    worker_prepare, worker.prepare_process = worker.prepare_process, lambda: None
    try:
        executor = ClusterExecutor(LocalEngine(kills=killers.__contains__))
        found = list(executor.map(square, iter(range(tasks)), chunk=chunk, lost=why))
    finally:
        worker.prepare_process = worker_prepare
    assert found == [-1 if n in killers else n * n for n in range(tasks)]
    assert len(executor.notes) == len(killers & set(range(tasks)))


def test_only_a_few_chunks_are_under_way_whatever_the_number_of_tasks() -> None:
    engine = LocalEngine()
    taken = 0

    def count(task: int) -> int:
        nonlocal taken
        taken = task
        return task

    results = ClusterExecutor(engine).map(square, map(count, range(100_000)))
    assert next(results) == 0
    assert engine.most_open == engine.slots * AHEAD
    assert taken < CHUNK * (engine.slots * AHEAD + 1)
    results.close()
    assert engine.open == 0, "and nothing goes on when nobody listens"


def test_a_task_that_ends_its_process_is_named_and_its_neighbours_are_done() -> None:
    engine = LocalEngine(kills=lambda task: task == "faces/bad.jpg")
    executor = ClusterExecutor(engine)
    names = ["faces/a.jpg", "faces/bad.jpg", "faces/c.jpg"]
    assert list(executor.map(str.upper, names, lost=lambda name, _: name)) == ["FACES/A.JPG", names[1], "FACES/C.JPG"]
    assert executor.notes == ["faces/bad.jpg: ended the process that worked on it, 3 times"]
    assert [len(tasks) for _, _, tasks in engine.sent] == [3, 1, 1, 1, 1, 1]
    with pytest.raises(FaceAugError, match=r"^faces/bad\.jpg: ended the process that worked on it, 3 times"):
        list(executor.map(str.upper, names))


def test_a_process_that_was_killed_for_no_fault_of_its_task_changes_nothing() -> None:
    deaths = [5, 5, 200]

    def once(task: int) -> bool:
        if task in deaths:
            deaths.remove(task)
            return True
        return False

    executor = ClusterExecutor(LocalEngine(kills=once))
    assert list(executor.map(square, range(300))) == [n * n for n in range(300)]
    assert executor.notes == []
    assert deaths == []


def test_the_chunks_of_a_lost_node_run_elsewhere_unless_the_cluster_falls_apart() -> None:
    losses = iter([True] * 10)
    engine = LocalEngine(loses=lambda task: task == 9 and next(losses, False))
    assert list(ClusterExecutor(engine).map(square, range(100), chunk=10)) == [n * n for n in range(100)]
    assert {len(tasks) for _, _, tasks in engine.sent} == {10}, "whole, since no task is to blame"
    with pytest.raises(FaceAugError, match=r"lost 11 nodes one after the other \(NodeDiedError\)"):
        list(ClusterExecutor(LocalEngine(loses=lambda task: task == 9)).map(square, range(100)))


def test_an_error_in_a_task_reaches_the_caller_unchanged_after_the_results_before_it() -> None:
    found: list[int] = []
    with pytest.raises(ImageError) as caught:
        found.extend(ClusterExecutor(LocalEngine()).map(fail_at_seven, range(20), chunk=5))
    assert str(caught.value) == "a.jpg: is empty"
    results = ClusterExecutor(LocalEngine()).map(fail_at_seven, range(20), chunk=5)
    assert [next(results) for _ in range(7)] == list(range(7))


def blind(path: str) -> Any:
    """A picture as a node sees it that has lost the disk."""
    READS.tried += 1
    READS.fail(path)
    return Signature("", "", False, "cannot be opened (No such file or directory)")


def folder_of(tmp_path: Path, n: int) -> list[str]:
    (tmp_path / "faces").mkdir()
    for k in range(n):
        (tmp_path / "faces" / f"{k:03d}.png").write_bytes(encode_png(picture(k, height=24, width=24)))
    return [str(tmp_path / "faces" / f"{k:03d}.png") for k in range(n)]


def test_a_node_that_has_lost_the_disk_ends_the_run_with_its_name(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, 40)
    engine = LocalEngine()
    engine.blind["two"] = blind
    with pytest.raises(FaceAugError) as caught:
        list(ClusterExecutor(engine).map(read_signature, paths, chunk=10))
    assert str(caught.value).startswith("node two.example (10.0.0.2): could not read 10 of its last 10 files")
    assert "faceaug.cluster check" in str(caught.value)


def test_files_that_are_gone_or_damaged_everywhere_are_no_fault_of_a_node(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, 40)
    for path in paths[:15]:
        Path(path).unlink()
    for path in paths[15:30]:
        Path(path).write_bytes(b"damaged")
    found = list(ClusterExecutor(LocalEngine()).map(read_signature, paths, chunk=10))
    assert found == list(map(read_signature, paths))
    assert [bool(one.problem) for one in found] == [True] * 30 + [False] * 10


def test_a_few_files_that_a_node_cannot_open_are_no_reason_to_stop(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, 18)
    engine = LocalEngine()
    engine.blind["two"] = blind
    found = list(ClusterExecutor(engine).map(read_signature, paths, chunk=9))
    assert sum(bool(one.problem) for one in found) == 9


@pytest.mark.parametrize("package", ["faceaug", "Python", "OpenCV", "Pillow", "numpy"])
def test_a_node_with_other_versions_is_refused_and_both_are_named(package: str) -> None:
    engine = LocalEngine()
    here = dict(versions_here())
    engine.versions["two"] = tuple((here | {package: "1.2.3"}).items())
    with pytest.raises(RefusedError) as caught:
        list(ClusterExecutor(engine).map(square, range(300)))
    assert "node two.example (10.0.0.2) has other versions" in str(caught.value)
    assert f"{package} 1.2.3 there, {here[package]} here" in str(caught.value)


def test_torch_matters_where_it_is_used() -> None:
    engine = LocalEngine()
    engine.versions["two"] = tuple((dict(versions_here()) | {"torch": "none"}).items())
    assert len(list(ClusterExecutor(engine).map(square, range(300)))) == 300
    with pytest.raises(RefusedError, match="torch none there"):
        list(ClusterExecutor(engine, torch=True).map(square, range(300)))


def test_a_node_without_the_working_folder_of_the_command_is_named(tmp_path: Path) -> None:
    answer = worker.run_chunk("one", str(tmp_path / "home"), square, [1, 2])
    assert answer.results == []
    assert f"cannot enter {tmp_path / 'home'}, where the command was started" in str(answer.error)
    assert platform.node() in str(answer.error)


def is_bad(task: Any) -> bool:
    """Whether a task works on the picture 003.png: a path, a tuple with one, or a block of an expanded folder."""
    if isinstance(task, Block):
        places = {place for _, _, place in task.items} - dict(task.left).keys()
        return any(task.pictures.name(task.rows[place]) == "003.png" for place in places if task.rows)
    return any(str(part).endswith("003.png") for part in (task if isinstance(task, tuple) else (task,)))


def test_a_clean_leaves_a_picture_that_ends_processes_and_names_it(tmp_path: Path) -> None:
    folder_of(tmp_path, 12)
    (tmp_path / "faces" / "copy.png").write_bytes((tmp_path / "faces" / "005.png").read_bytes())
    report = clean_folder(tmp_path / "faces", executor=ClusterExecutor(LocalEngine(kills=is_bad)), progress=False)
    assert [entry.name for entry in report.set_aside] == ["copy.png"]
    assert report.left == (("003.png", "ended the process that worked on it, 3 times"),)
    assert any("003.png: ended the process" in note for note in report.notes)
    assert (tmp_path / "faces" / "003.png").is_file()


@pytest.mark.parametrize("format", ["png", "webdataset"])
def test_an_expansion_leaves_out_a_picture_that_ends_processes(tmp_path: Path, format: Any) -> None:
    folder_of(tmp_path, 12)
    dataset = expand_dataset(tmp_path / "faces", synthetic=0, copies=1, partition="all", eager=False, progress=False)
    executor = ClusterExecutor(LocalEngine(kills=is_bad))
    report = dataset.save(tmp_path / "out", format=format, executor=executor, progress=False)
    assert report.unreadable == ("003.png: ended the process that worked on it, 3 times",)
    assert dict(report.sizes)["total"] == 22
    assert "003.png: ended the process that worked on it, 3 times" in report.notes
    assert "000.png, 001.png, 002.png and 9 more: ended the process" in "\n".join(report.notes), "all of them at first"
    assert list((tmp_path / "out").rglob("*.partial")) == []


def test_an_alignment_goes_on_without_a_photo_that_ends_processes(tmp_path: Path) -> None:
    from faceaug.synthesize import SyntheticFaceSource

    SyntheticFaceSource("faces-64", seed=0).save(tmp_path / "made", 6, progress=False)
    (tmp_path / "faces").mkdir()
    for path in (tmp_path / "made").glob("*.png"):
        path.rename(tmp_path / "faces" / path.name[3:])
    executor = ClusterExecutor(LocalEngine(kills=is_bad))
    report = align_folder(tmp_path / "faces", tmp_path / "out", size=64, executor=executor, progress=False)
    assert len(report.unreadable) == 1
    assert report.unreadable[0].endswith("003.png: ended the process that worked on it, 3 times")
    assert report.aligned == 5


def test_pictures_that_are_no_files_are_written_here_and_a_note_says_so(tmp_path: Path) -> None:
    faces = [picture(k, height=24, width=24) for k in range(3)]
    engine = LocalEngine()
    dataset = expand_dataset(faces, synthetic=0, partition="all", progress=False)
    report = dataset.save(tmp_path / "out", executor=ClusterExecutor(engine), progress=False)
    assert engine.sent == []
    assert any("the executor was not used" in note for note in report.notes)

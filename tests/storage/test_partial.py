from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from faceaug.storage import partial
from faceaug.storage.files import remove_partials, write_bytes
from faceaug.storage.partial import PARTIAL, partial_file
from faceaug.storage.unfinished import BEGUN, Begun

IN_A_CLUSTER = """
import sys
from pathlib import Path
from faceaug.storage.partial import name_writer, partial_file
name_writer()
with partial_file(Path(sys.argv[1])) as (path, handle):
    print(path.name)
    handle.write(b"half")
    handle.flush()
    import os
    os._exit(1)
"""


def test_two_attempts_at_a_file_never_publish_half_of_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with partial_file(path) as (first, slow):
        slow.write(b"first")
        slow.flush()
        write_bytes(path, b"second, and longer")
        assert path.read_bytes() == b"second, and longer", "the second does not wait for the first"
        slow.write(b", the whole of it")
        slow.flush()
        os.replace(first, path)
    assert path.read_bytes() == b"first, the whole of it"
    assert list(tmp_path.iterdir()) == [path]


def test_many_threads_write_one_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    contents = [bytes([k]) * (1000 + k) for k in range(8)]
    failures: list[BaseException] = []

    def write(data: bytes) -> None:
        try:
            for _ in range(40):
                write_bytes(path, data, durable=False)
                assert path.read_bytes() in contents
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=write, args=(data,)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_run_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / f"a.png{PARTIAL}").write_bytes(b"torn, and much longer than the file itself")
    write_bytes(tmp_path / "a.png", b"whole")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.png": b"whole"}


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(IsADirectoryError):
        write_bytes(tmp_path / "a.png", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_file_system_without_locks_is_written_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "_lock", lambda _: False)
    write_bytes(tmp_path / "a.png", b"whole")
    assert (tmp_path / "a.png").read_bytes() == b"whole"


def test_the_processes_of_a_cluster_share_no_partial_name_and_what_they_leave_is_removed(tmp_path: Path) -> None:
    names = {
        subprocess.run(
            [sys.executable, "-c", IN_A_CLUSTER, str(tmp_path / "a.png")],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False,
        ).stdout.strip()
        for _ in range(2)
    }  # fmt: skip
    assert len(names) == 2
    (tmp_path / "mine.partial").write_bytes(b"a user's")
    (tmp_path / "by-0a1b2c3d.partial.png").write_bytes(b"a user's")
    assert names < {path.name for path in tmp_path.iterdir()}
    remove_partials(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.partial", "by-0a1b2c3d.partial.png"}


def test_what_each_process_of_a_cluster_has_begun_is_known_to_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Begun(tmp_path / BEGUN)
    for name, data in (("", b"here"), (".by-00000001", b"one"), (".by-00000002", b"two")):
        monkeypatch.setattr(partial, "_writer", name)
        begun.add(data)
    assert len(list(tmp_path.iterdir())) == 3
    for data in (b"here", b"one", b"two", b"other"):
        (tmp_path / "a.png").write_bytes(data)
        assert begun.holds(tmp_path / "a.png") == (data != b"other")

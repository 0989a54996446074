from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from faceaug.storage import durable, files
from faceaug.storage.durable import GroupSync, Tally, whole_lines
from faceaug.storage.schema import parse_json


@pytest.fixture(params=["whole file system", "file by file"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of syncing a group; the first only where the system has it."""
    if request.param == "file by file":
        monkeypatch.setattr(durable, "_has_syncfs", lambda _: False)
    return str(request.param)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, in order: files and folders by their last name, "all" for a whole file system."""
    found: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        found.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(durable, "_sync_file_system", lambda _: found.append("all"))
    return found


def test_a_tally_counts_files_only_once_they_and_their_folders_are_synced(
    tmp_path: Path, way: str, log: list[str]
) -> None:
    path, picture = tmp_path / "out" / "tally", tmp_path / "out" / "cats" / "a.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"a")
    tally = Tally(path, [])
    log.clear()
    tally.add(['"a.png"\n'], [picture])
    tally.close()
    assert path.read_text() == '"a.png"\n'
    assert log.index("tally") == len(log) - 1, "the line comes after everything that it counts"
    synced = set(log[:-1])
    assert synced >= ({"a.png", "cats", "out"} if "all" not in synced else {"all"})


def test_a_tally_writes_groups_while_work_goes_on(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_INTERVAL", 0.0)
    tally = Tally(tmp_path / "tally", ["0\n"])
    for number in range(1, 4):
        (tmp_path / str(number)).touch()
        tally.add([f"{number}\n"], [tmp_path / str(number)])
        while (tmp_path / "tally").read_text().count("\n") <= number:
            time.sleep(0.001)
            tally.add([], [])
    tally.close()
    tally.close()
    assert (tmp_path / "tally").read_text() == "0\n1\n2\n3\n"


def test_the_first_group_does_not_wait(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    tally = Tally(tmp_path / "tally", [])
    tally.add(["a\n"], [tmp_path / "a"])
    while not (tmp_path / "tally").read_text():  # written without another call
        time.sleep(0.001)
    tally.close()


def test_a_failing_disk_is_told_and_what_it_lost_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "a").touch()
    tally = Tally(tmp_path / "tally", [])
    monkeypatch.setattr(GroupSync, "sync", fail)
    tally.add(['"a"\n'], [tmp_path / "a"])
    with pytest.raises(OSError, match="Input/output error"):
        tally.close()
    assert (tmp_path / "tally").read_text() == ""


@pytest.mark.parametrize("tail", [b"", b"[1, ", b"\0" * 300 + b"\n", b"\xff\n", b'"d"', b"[" * 100_000 + b"\n"])
def test_a_tally_is_read_up_to_the_first_line_that_is_not_whole(tmp_path: Path, tail: bytes) -> None:
    (tmp_path / "tally").write_bytes(b'"a"\n"b\\u00e4"\n' + tail)
    assert whole_lines(tmp_path / "tally", parse_json) == ["a", "b\u00e4"]
    assert whole_lines(tmp_path / "none", parse_json) == []


def test_a_file_is_known_by_its_digest(tmp_path: Path) -> None:
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")
    found = {name: files.has_digest(tmp_path / name, digest) for name in ("a", "empty", "link", "pipe", ".", "none")}
    assert found == {"a": True, "empty": False, "link": False, "pipe": False, ".": False, "none": False}

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from faceaug.storage.identity import digest_of, is_as_seen, is_remembered, same_time
from faceaug.storage.walk import File, list_folder
from tests.clean.zoo import OLD, write

TIMES = st.integers(0, 2**62)


@given(TIMES, st.sampled_from([100, 1_000, 10_000_000, 10**9, 2 * 10**9]), st.booleans())
def test_a_time_that_was_cut_to_a_coarser_step_is_the_same_time(time: int, step: int, up: bool) -> None:
    cut = time - time % step + (step if up and time % step else 0)
    assert same_time(time, cut)
    assert same_time(cut, time)


@pytest.mark.parametrize(("one", "other"), [(0, 2 * 10**9), (10**9, 4 * 10**9), (OLD, OLD + 1), (OLD, OLD + 3 * 10**9)])
def test_times_of_one_step_that_differ_are_two(one: int, other: int) -> None:
    assert not same_time(one, other)
    assert not same_time(other, one)


def seen(path: Path, *, digest: bool) -> File:
    (file,) = list_folder(path.parent).files
    return File(
        *(getattr(file, name) for name in ("name", "device", "inode", "size", "mtime_ns")),
        digest_of(path) if digest else "",
    )


def renumber(path: Path) -> None:
    """The same content under another inode number, as after a mount of exFAT."""
    facts = path.stat()
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    os.utime(new, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    new.replace(path)


@pytest.mark.parametrize("digest", [True, False])
def test_a_new_number_is_another_file_only_where_the_content_is_not_known(tmp_path: Path, digest: bool) -> None:
    path = write(tmp_path / "f" / "a", b"content")
    file = seen(path, digest=digest)
    assert is_as_seen(path, file)
    renumber(path)
    assert is_as_seen(path, file) == digest
    assert is_remembered(path, file)


def test_other_content_of_the_same_size_and_time_is_found_where_there_is_a_doubt(tmp_path: Path) -> None:
    path = write(tmp_path / "f" / "a", b"content")
    file = seen(path, digest=True)
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(OLD, OLD - OLD % 10**9))
    assert not is_as_seen(path, file)
    assert not is_remembered(path, file)


def test_what_is_no_regular_file_is_never_the_one_that_was_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "f" / "a", b"content")
    file = seen(path, digest=True)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert not is_as_seen(path, file)
    assert not is_remembered(path, file)
    with pytest.raises(OSError, match="symbolic"):
        digest_of(path)

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from faceaug.clean import clean_folder, undo_clean
from faceaug.errors import Interrupted, JournalError, RefusedError
from faceaug.storage.disk import Disk
from faceaug.storage.identity import digest_of
from faceaug.storage.journal import Journal, Move, Outcome, open_journal, read_journal
from faceaug.storage.moves import Step, encode_record, order_steps, read_history
from faceaug.storage.walk import File, list_folder
from tests.clean.zoo import OLD, age_folders, contents, messy, tree, write


def files(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        write(folder / name, os.fsencode(name))
    age_folders(folder)
    return folder


def seen(folder: Path) -> dict[str, File]:
    return {file.name: file for file in list_folder(folder).files}


def perform(folder: Path, targets: dict[str, str | None], disk: Disk | None = None) -> Outcome:
    known = seen(folder)
    plan = [Move(known[name], target, "test") for name, target in targets.items()]
    with open_journal(folder, beside=False, purpose="test", disk=disk) as journal:
        return journal.apply(plan)


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "targets",
    [
        {"a": "b", "b": "a"},
        {"a": "b", "b": "c", "c": "x"},
        {"c": "x", "a": "b", "b": "c"},
        {"a": "b", "b": "c", "c": "a", "d": "e"},
        {"a": "A", "b": "B"},
        {"a": "b", "b": None, "c": "a"},
    ],
)
def test_chains_swaps_and_changes_of_case_arrive_and_undo(tmp_path: Path, targets: dict[str, str | None]) -> None:
    folder = files(tmp_path / "f", "abcd")
    before = tree(folder)
    outcome = perform(folder, targets)
    assert len(outcome.moved) == len(targets)
    expected = {name: name for name in "abcd" if name not in targets}
    expected |= {target: name for name, target in targets.items() if target}
    assert read(folder) == expected
    undo_clean(folder)
    assert tree(folder) == before


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefAB"), st.sampled_from("abcdefghAB"), max_size=8))
def test_steps_free_every_name_before_it_is_taken(targets: dict[str, str]) -> None:
    wanted = [Step(a, b, File(a, 0, 0, 0, 0)) for a, b in targets.items() if a != b]
    unique = [step for i, step in enumerate(wanted) if step.end not in {other.end for other in wanted[:i]}]
    disk = {name: name for name in "abcdefAB"}
    blocked = {step.end for step in unique} & (set(disk) - {step.start for step in unique})
    steps = order_steps(unique)
    for step in steps:
        if step.end not in disk and step.start in disk:
            disk[step.end] = disk.pop(step.start)
    if not blocked:
        assert all(disk[step.end] == step.start for step in unique)
    assert sorted(disk.values()) == sorted("abcdefAB")


def test_a_name_that_is_taken_is_left_and_reported(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "ab")
    before = tree(folder)
    outcome = perform(folder, {"a": "b"})
    assert [(move.source.name, why) for move, why in outcome.skipped] == [("a", "its new name is taken")]
    assert tree(folder) == before


def test_two_files_never_get_one_name(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "ab")
    outcome = perform(folder, {"a": "c", "b": "c"})
    assert read(folder) == {"b": "b", "c": "a"}
    assert len(outcome.skipped) == 1


def test_a_file_changed_since_the_plan_is_not_moved(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "abcdef")
    known = seen(folder)
    (folder / "a").write_text("edited")
    (folder / "b").unlink()
    write(folder / "c.new", b"c").replace(folder / "c")
    (folder / "e").write_text("E")
    plan = [Move(known[name], None, "test") for name in "abc"]
    plan += [Move(known["d"], None, "test", known["e"]), Move(known["f"], None, "test", known["d"])]
    with open_journal(folder, beside=False, purpose="test") as journal:
        outcome = journal.apply(plan)
    assert {move.source.name: why for move, why in outcome.skipped} == {
        "a": "has changed since it was examined",
        "b": "is no longer there",
        "c": "has changed since it was examined",
        "d": "the file kept instead, e, has changed since it was examined",
    }
    assert read(folder) == {"a": "edited", "c": "c", "d": "d", "e": "E"}


def test_a_file_exchanged_for_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "a")
    outside = write(tmp_path / "outside", b"a")
    known = seen(folder)
    (folder / "a").unlink()
    (folder / "a").symlink_to(outside)
    with open_journal(folder, beside=False, purpose="test") as journal:
        assert journal.apply([Move(known["a"], None, "test")]).moved == ()
    assert outside.read_bytes() == b"a"
    assert (folder / "a").is_symlink()


class NoLinks(Disk):
    """A file system without hard links, and optionally without renameat2."""

    def __init__(self, code: int = errno.EPERM) -> None:
        self.code = code

    def link(self, start: Path, end: Path) -> None:
        if os.path.lexists(end):
            raise FileExistsError(errno.EEXIST, "exists", str(end))
        raise OSError(self.code, os.strerror(self.code), str(start))


@pytest.mark.parametrize("renameat2", [True, False])
@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_without_hard_links_files_are_renamed_and_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, renameat2: bool
) -> None:
    if not renameat2:

        def missing(start: Path, end: Path) -> None:
            raise OSError(errno.ENOSYS, "no renameat2")

        monkeypatch.setattr("faceaug.storage.disk._rename_noreplace", missing)
    folder = files(tmp_path / "f", "abcd")
    before = tree(folder)
    perform(folder, {"a": "b", "b": "a", "c": None, "d": "e"}, NoLinks(code))
    assert read(folder) == {"a": "b", "b": "a", "e": "d"}
    with pytest.raises(FileExistsError):
        Disk().rename(folder / "a", folder / "b")
    undo_clean(folder)
    assert tree(folder) == before


def test_a_file_on_another_file_system_is_copied_and_comes_back(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "ab")
    (folder / "a").chmod(0o640)
    age_folders(folder)
    before = tree(folder)
    perform(folder, {"a": None}, NoLinks(errno.EXDEV))
    kept = folder / ".faceaug" / "set-aside" / "0001" / "a"
    assert (kept.read_bytes(), kept.stat().st_mtime_ns, kept.stat().st_mode & 0o777) == (b"a", OLD, 0o640)
    assert read(folder) == {"b": "b"}
    with open_journal(folder, beside=False, purpose="test", disk=NoLinks(errno.EXDEV)) as journal:
        assert journal.undo().restored == 1
    assert tree(folder) == before


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_read_only_folder_is_refused_and_unchanged(tmp_path: Path, code: int) -> None:
    folder = files(tmp_path / "f", "ab")
    before = tree(folder)

    class ReadOnly(Disk):
        def make_folder(self, path: Path) -> None:
            raise OSError(code, os.strerror(code), str(path))

    with pytest.raises(RefusedError, match="cannot be written"):
        perform(folder, {"a": None}, ReadOnly())
    assert tree(folder) == before


def test_something_else_in_the_place_of_the_state_is_refused(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "ab")
    (folder / ".faceaug").write_text("mine")
    with pytest.raises(RefusedError, match="in the way"):
        perform(folder, {"a": None})
    (folder / ".faceaug").unlink()
    (folder / ".faceaug").symlink_to(tmp_path)
    with pytest.raises(RefusedError, match="in the way"):
        perform(folder, {"a": None})


def test_a_journal_that_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "ab")
    (folder / ".faceaug").mkdir()
    os.mkfifo(folder / ".faceaug" / "journal.jsonl")
    with pytest.raises(RefusedError, match="not a regular file"):
        perform(folder, {"a": None})
    assert read(folder) == {"a": "a", "b": "b"}


def test_a_second_run_is_refused_at_once_and_names_the_first(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    with (
        open_journal(folder, beside=False, purpose="clean"),
        pytest.raises(RefusedError, match=rf"in use by process {os.getpid()} \(faceaug clean\)"),
    ):
        clean_folder(folder)
    assert clean_folder(folder).run == "0001"


HOLD = """
import sys, time
from pathlib import Path
from faceaug.storage.journal import open_journal
with open_journal(Path(sys.argv[1]), beside=False, purpose="clean"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RefusedError, match=f"process {holder.pid}"):
            undo_clean(folder) if (folder / ".faceaug/journal.jsonl").exists() else clean_folder(folder)
        holder.kill()
        holder.wait()
    assert clean_folder(folder).run == "0001"


def test_a_signal_lets_the_group_end_and_the_next_run_goes_on_as_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceaug.storage.journal.GROUP", 2)
    folder = messy(tmp_path / "celeba")
    before, everything = tree(folder), contents(folder)
    real = Journal._perform

    def interrupted(self: Journal, group: list[Step]) -> dict[str, str]:
        skipped = real(self, group)
        os.kill(os.getpid(), signal.SIGTERM)
        return skipped

    monkeypatch.setattr(Journal, "_perform", interrupted)
    with pytest.raises(Interrupted, match="stopped after 2 of 7 moves"):
        clean_folder(folder)
    assert contents(folder) == everything
    monkeypatch.setattr(Journal, "_perform", real)
    report = clean_folder(folder)
    assert report.run == "0001"
    assert "continues a run that was interrupted after 2 moves" in report.notes
    assert clean_folder(folder).run is None
    assert undo_clean(folder).restored == 7
    assert tree(folder) == before
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


class Crash(BaseException):
    """The end of a process."""


class Crashing(Disk):
    """A disk whose calls that drop a name end the process."""

    def unlink(self, path: Path) -> None:
        raise Crash


def test_hard_links_of_a_crash_that_a_copy_of_the_folder_made_two_files_of_are_one_again(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "abc")
    known = {name: replace(file, digest=digest_of(folder / name)) for name, file in seen(folder).items()}
    with pytest.raises(Crash), open_journal(folder, beside=False, purpose="test", disk=Crashing()) as journal:
        journal.apply([Move(known["a"], None, "test"), Move(known["b"], "x", "test")])
    assert read(folder) == {"a": "a", "b": "b", "c": "c", "x": "b"}
    copy = tmp_path / "g"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)  # as cp -r: new files, and new times
    with open_journal(copy, beside=False, purpose="test") as journal:
        assert read(copy) == {"c": "c", "x": "b"}
        report = journal.undo(all_runs=True)
    assert (report.restored, report.left) == (2, ())
    assert read(copy) == {"a": "a", "b": "b", "c": "c"}


@pytest.mark.parametrize("linked", [True, False])
def test_two_names_that_may_be_one_file_on_a_disk_that_folds_case_are_both_left(tmp_path: Path, linked: bool) -> None:
    """exFAT through FUSE finds one file under both names, each with an inode number of its own."""
    folder = files(tmp_path / "f", ["a.JPG"])
    known = replace(seen(folder)["a.JPG"], digest=digest_of(folder / "a.JPG"))
    with pytest.raises(Crash), open_journal(folder, beside=False, purpose="test", disk=Crashing()) as journal:
        journal.apply([Move(known, "a.jpg", "test")])
    for left in (folder / ".faceaug" / "temporary").iterdir():
        left.unlink()
    shutil.copy2(folder / "a.JPG", folder / "a.jpg")
    if not linked:  # other numbers at the next mount
        shutil.copy2(folder / "a.JPG", folder / "new")
        (folder / "new").replace(folder / "a.JPG")
    with open_journal(folder, beside=False, purpose="test"):
        pass
    assert read(folder) == {"a.JPG": "a.JPG", "a.jpg": "a.JPG"}


def test_nothing_is_moved_or_removed_behind_a_link_to_another_folder(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", ["a", "sub/b", "sub/c"])
    perform(folder, {"a": None, "sub/b": None, "sub/c": "sub/d"})
    elsewhere = (folder / "sub").rename(tmp_path / "elsewhere")
    (folder / "sub").symlink_to(elsewhere)
    before = tree(elsewhere)
    for _ in range(2):
        with open_journal(folder, beside=False, purpose="test") as journal:
            report = journal.undo(all_runs=True)
            assert [name for name, why in report.left if "behind a symbolic link" in why] == ["sub/b", "sub/c"]
    assert tree(elsewhere) == before
    assert (folder / "a").read_text() == "a"
    (folder / "sub").unlink()
    elsewhere.rename(folder / "sub")
    with open_journal(folder, beside=False, purpose="test") as journal:
        assert journal.undo(all_runs=True).left == ()
    assert read(folder / "sub") == {"b": "sub/b", "c": "sub/c"}


def test_a_journal_of_somebody_elses_removes_nothing_behind_a_link(tmp_path: Path) -> None:
    """A folder from the internet with a link, and a journal whose last group seems to have been stopped."""
    home = files(tmp_path / "home", ["profile"])
    folder = files(tmp_path / "f", ["x"])
    (folder / "sub").symlink_to(home)
    before = tree(home)
    state = folder / ".faceaug"
    write(state / "set-aside" / "0001" / "sub" / "profile", b"profile")
    facts = (home / "profile").stat()
    step = {
        "op": "step",
        "step": 0,
        "start": "sub/profile",
        "end": "/set-aside/0001/sub/profile",
        "inode": facts.st_ino,
    }
    step |= {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns, "digest": digest_of(home / "profile")}
    begin = {"op": "begin", "what": "clean", "run": "0001", "folders": {"": 1, "sub": 1}}
    write(state / "journal.jsonl", b"".join(map(encode_record, [begin, step, {"op": "copy", "step": 0}])))
    with open_journal(folder, beside=False, purpose="test"):
        pass
    with open_journal(folder, beside=False, purpose="test") as journal:
        journal.undo(all_runs=True)
    assert tree(home) == before


def step(number: int, start: str, end: str, path: Path) -> dict[str, object]:
    facts = path.stat()
    known = {"inode": facts.st_ino, "size": facts.st_size, "mtime_ns": facts.st_mtime_ns, "digest": digest_of(path)}
    return {"op": "step", "step": number, "start": start, "end": end} | known


def foreign(state: Path, *steps: dict[str, object]) -> None:
    """A journal that came with a folder: its run ended, and its steps are recorded as done."""
    begin = {"op": "begin", "what": "clean", "run": "0001", "folders": {"": 1}}
    done = {"op": "done", "steps": list(range(len(steps))), "skipped": []}
    write(state / "journal.jsonl", b"".join(map(encode_record, [begin, *steps, done])))


@pytest.mark.parametrize("ended", [True, False])
def test_a_journal_of_somebody_elses_takes_nothing_from_behind_a_link_among_the_temporary_names(
    tmp_path: Path, ended: bool
) -> None:
    home = files(tmp_path / "home", ["profile"])
    folder = files(tmp_path / "f", ["x"])
    state = folder / ".faceaug"
    state.mkdir()
    (state / "temporary").symlink_to(home)
    foreign(state, step(0, "stolen", "/temporary/profile", home / "profile"))
    if ended:
        with (state / "journal.jsonl").open("ab") as journal_file:
            journal_file.write(encode_record({"op": "end", "folders": {"": 1}}))
    before = tree(home)
    with open_journal(folder, beside=False, purpose="test") as journal:
        journal.undo(all_runs=True)
    assert tree(home) == before
    assert not (folder / "stolen").exists()


def test_a_file_set_aside_that_is_not_the_one_of_the_journal_is_not_taken_by_a_stray(tmp_path: Path) -> None:
    """``set-aside`` may be a link, so what is there counts only if it is as recorded."""
    home = files(tmp_path / "home", ["0001/profile", "0001/other"])
    write(home / "0001" / "other", b"of another size")
    folder = files(tmp_path / "f", ["x"])
    state = folder / ".faceaug"
    write(state / "temporary" / "y", b"y")
    (state / "set-aside").symlink_to(home)
    taken = "/set-aside/0001/profile"
    foreign(
        state,
        step(0, taken, "/temporary/y", state / "temporary" / "y"),
        step(1, "stolen", taken, home / "0001" / "other"),
    )
    before = tree(home)
    with open_journal(folder, beside=False, purpose="test"):
        pass
    assert tree(home) == before
    assert not (folder / "stolen").exists()


def test_reports_of_a_run_are_not_written_behind_a_link(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    before = tree(folder, folder_times=False)
    (tmp_path / "elsewhere").mkdir()
    (folder / ".faceaug").mkdir()
    (folder / ".faceaug" / "runs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="runs is in the way: a symbolic link"):
        clean_folder(folder)
    assert tree(folder, folder_times=False) == before
    (folder / ".faceaug" / "runs").unlink()
    (folder / ".faceaug" / "runs").mkdir()
    (folder / ".faceaug" / "runs" / "0001").symlink_to(tmp_path / "elsewhere")
    with (
        open_journal(folder, beside=False, purpose="test") as journal,
        pytest.raises(RefusedError, match="0001 is in the way: a symbolic link"),
    ):
        journal.run_folder("0001")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_cache_that_is_a_link_is_not_used(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    (folder / ".faceaug").mkdir()
    (folder / ".faceaug" / "cache.sqlite").symlink_to(tmp_path / "elsewhere.sqlite")
    clean_folder(folder)
    assert not (tmp_path / "elsewhere.sqlite").exists()


def test_files_set_aside_whose_journal_is_gone_are_told_and_kept_apart(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "ab")
    perform(folder, {"a": None})
    (folder / ".faceaug" / "journal.jsonl").unlink()
    with pytest.raises(RefusedError, match="holds files of earlier runs, but their journal is gone"):
        undo_clean(folder)
    write(folder / "a", b"new")
    assert perform(folder, {"a": None}).skipped == ()
    with open_journal(folder, beside=False, purpose="test") as journal:
        assert journal.undo().left == ()
    assert read(folder) == {"a": "new", "b": "b"}
    assert (folder / ".faceaug" / "set-aside" / "0001" / "a").read_text() == "a"


def test_runs_after_a_lost_journal_have_numbers_of_their_own(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "abcd")
    perform(folder, {"a": None})
    (folder / ".faceaug" / "journal.jsonl").unlink()
    runs = [perform(folder, {"b": "x"}).run, perform(folder, {"c": "y"}).run, perform(folder, {"d": None}).run]
    assert runs == ["0002", "0003", "0004"]
    with open_journal(folder, beside=False, purpose="test") as journal:
        assert journal.undo().runs == ("0004",)
        assert journal.undo().runs == ("0003",)
    assert read(folder) == {"x": "b", "c": "c", "d": "d"}


def test_an_interrupted_undo_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceaug.storage.journal.GROUP", 2)
    folder = messy(tmp_path / "celeba")
    before = tree(folder)
    clean_folder(folder)
    real = Journal._perform

    def interrupted(self: Journal, group: list[Step]) -> dict[str, str]:
        skipped = real(self, group)
        os.kill(os.getpid(), signal.SIGINT)
        return skipped

    monkeypatch.setattr(Journal, "_perform", interrupted)
    with pytest.raises(Interrupted, match="undo again"):
        undo_clean(folder)
    monkeypatch.setattr(Journal, "_perform", real)
    assert undo_clean(folder).restored == 5
    assert tree(folder) == before


def test_a_torn_last_line_is_ignored_and_a_damaged_line_stops(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    before = tree(folder)
    clean_folder(folder)
    path = folder / ".faceaug" / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + encode_record({"op": "undone", "run": "0001"})[:-9])
    assert clean_folder(folder).run is None
    assert path.read_bytes() == whole
    undo_clean(folder)
    assert tree(folder) == before
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1].replace(b"0000", b"1111", 1), *lines[2:]]))
    with pytest.raises(JournalError, match="line 2 is damaged"):
        clean_folder(folder)
    assert tree(folder) == before


def test_a_file_that_vanished_from_a_stopped_run_is_an_error_once(tmp_path: Path) -> None:
    folder = files(tmp_path / "f", "ab")

    class Dies(Disk):
        def unlink(self, path: Path) -> None:
            raise KeyboardInterrupt(path)

    with pytest.raises(KeyboardInterrupt):
        perform(folder, {"a": None}, Dies())
    assert (folder / "a").exists()
    (folder / "a").unlink()
    (folder / ".faceaug" / "set-aside" / "0001" / "a").unlink()
    with pytest.raises(JournalError, match="neither its old nor its new location"):
        perform(folder, {"b": None})
    assert perform(folder, {"b": None}).run == "0001"


def test_an_undo_does_not_touch_the_time_of_a_folder_the_user_changed(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    pictures = folder / "img_align_celeba"
    clean_folder(folder)
    (pictures / "mine.txt").write_text("new")
    undo_clean(folder)
    assert pictures.stat().st_mtime_ns > 1_600_000_000 * 10**9


def test_an_undo_works_after_the_folder_was_moved(tmp_path: Path) -> None:
    folder = messy(tmp_path / "celeba")
    before = tree(folder)
    clean_folder(folder)
    subprocess.run(["cp", "-a", str(folder), str(tmp_path / "copy")], check=True)
    undo_clean(tmp_path / "copy")
    assert tree(tmp_path / "copy") == before


def test_names_that_are_not_utf8_go_through_the_journal(tmp_path: Path) -> None:
    odd = os.fsdecode(b"bad\xff\n\xc3\xa9.jpg")
    folder = files(tmp_path / "f", [odd, "b"])
    before = tree(folder)
    perform(folder, {odd: None})
    assert read_journal(folder, beside=False).set_aside() == [odd]
    undo_clean(folder)
    assert tree(folder) == before


def test_a_history_of_nothing_is_empty() -> None:
    assert read_history(b"", where="here").runs == []
    assert read_history(b'{"op": "be', where="here").length == 0

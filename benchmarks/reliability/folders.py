"""Random folders, random users, random disasters: a state machine for `clean` and `undo`. Prints one JSON line.

    python -m benchmarks.reliability.folders --n 1000 --seed 0

Each run builds a folder from copies, re-encoded copies, damaged names and files, links of all kinds, pipes, twins of
case and of Unicode form and names that are not UTF-8; a user adds, edits, exchanges, renames and removes files, also
between the plan and the moves and between two moves; `clean` and `undo` end regularly, crash at the k-th call that
changes the disk, or meet a failing one; a second `clean` comes at the wrong moment. After every step:

I1 every content is there once, in the folder or set aside; I2 an undo gives back names, bytes, modes and times;
I3 a second clean changes nothing; I4 what was set aside as a duplicate shows the picture that stays in its stead;
I5 the report names exactly the moved files; I6 nothing outside the folder is touched.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, TypeAlias
from unittest import mock

from benchmarks.reliability.zoo import OLD, age_folders, contents, differences, digest, jpeg, publish, same_pixels, tree
from hypothesis import HealthCheck, seed as seeded, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

import faceaug.clean.names
import faceaug.storage.journal
from faceaug.clean import CleanPolicy, CleanReport, clean_folder, undo_clean
from faceaug.storage.disk import Disk
from faceaug.errors import AnnotationError, FaceAugError, Interrupted, JournalError, RefusedError, printable
from faceaug.storage.journal import Journal, read_journal
from faceaug.storage.state import state_folder

CALLS = ("append", "sync", "sync_folder", "make_folder", "rename_folder", "link", "unlink", "rename", "set_mtime")
ALL = CleanPolicy(max_remove=1)
# Calls before which somebody else may act: not before an unlink, whose last look at the file is microseconds old.
OPEN_TO_OTHERS = ("append", "sync", "sync_folder", "make_folder", "rename_folder", "link")
PLACES = {"celeba": ("img_align_celeba", "more"), "flat": ("", "more"), "classes": ("a", "b"), "imagefolder": ("", "x")}
NAMES = [f"{k:06d}.jpg" for k in range(1, 9)]
NAMES += ["00003.jpg", "00012.jpg", "12.jpg", "000004.JPG", "000005.jpg.jpg", "000006 (1).jpg", "000007.jpeg", "0.jpg"]
NAMES += ["000001.JPG", "000009.png", "caf\u00e9.jpg", "cafe\u0301.jpg", "bad\udcff.jpg", "new\nline.jpg", "A.jpg"]
NAMES += ["a.jpg", ".hidden.jpg", "._000001.jpg", "notes.txt", "d.jpg/000002.jpg", "\x1b[31m.jpg", "x" * 251 + ".jpg"]
KINDS = ["picture"] * 4 + ["same pixels", "other quality", "cut", "empty", "text"]
LINKS = ["hard", "file", "outside file", "outside folder", "loop", "dangling", "pipe"]
MEDDLING = ["edit", "exchange", "remove", "rename", "touch", "add", "mode"]
place, name = st.integers(0, 1), st.sampled_from(NAMES)
picture, pick, step = st.integers(1, 6), st.integers(0, 40), st.integers(1, 40)

Entry: TypeAlias = tuple[int, str, str, int]
mess = st.lists(st.tuples(place, name, st.sampled_from(KINDS), picture), max_size=8)


class Crash(BaseException):
    """The process ends here; nothing of the library may catch it."""


class HookedDisk(Disk):
    """A disk that does something before or after its k-th call of some kinds."""

    def __init__(
        self, at: int, act: Callable[[], None], *, after: bool = False, kinds: tuple[str, ...] = CALLS
    ) -> None:
        self.calls = 0
        for kind in kinds:
            setattr(self, kind, self._hooked(getattr(super(), kind), at, act, after))

    def _hooked(self, real: Callable[..., None], at: int, act: Callable[[], None], after: bool) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            self.calls += 1
            now = self.calls == at
            if now and not after:
                act()
            real(*arguments)
            if now and after:
                act()

        return call


class FolderMachine(RuleBasedStateMachine):
    """One folder, its user and its cleaner."""

    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="faceaug-machine-"))
        self.folder = self.base / "celeba"
        self.outside = self.base / "outside"
        self.family: dict[str, int] = {}
        self.origin: dict[str, tuple[Any, ...]] | None = None  # the tree before the runs not yet undone
        self.spoilt = False  # the user changed something since
        self.things: list[str] = []
        self.patches: tuple[Any, ...] = ()

    @initialize(layout=st.sampled_from(sorted(PLACES)), group=st.sampled_from([1, 2, 3, 256]), found=mess)
    def begin(self, layout: str, group: int, found: list[Entry]) -> None:
        """A folder as it is found, and things outside it that links may point to."""
        self.layout = layout
        self.patches = (
            mock.patch.object(faceaug.storage.journal, "GROUP", group),
            mock.patch.object(faceaug.clean.names, "CELEBA_SIZE", 12),  # 202,599 names take a tenth of a second
        )
        for patch in self.patches:
            patch.start()
        (self.outside / "album").mkdir(parents=True)
        (self.outside / "album" / "000001.jpg").write_bytes(jpeg(1))
        (self.outside / "face.jpg").write_bytes(jpeg(2))
        for below in PLACES[layout]:
            (self.folder / below).mkdir(parents=True, exist_ok=True)
        for number in (1, 2):
            self._write(self._at(0, f"{number:06d}.jpg"), "picture", number)
        if layout == "celeba":
            rows = "".join(f"{k:06d}.jpg {k % 3}\n" for k in range(1, 13))
            (self.folder / "list_eval_partition.txt").write_text(rows)
        if layout == "imagefolder":
            (self.folder / "metadata.csv").write_text("file_name,label\n000001.jpg,0\n000002.jpg,1\n")
        for at, name, kind, number in found:
            self.add(at, name, kind, number)
        age_folders(self.folder)

    def teardown(self) -> None:
        """Put back what was patched, and remove the folder."""
        for patch in self.patches:
            patch.stop()
        shutil.rmtree(self.base)

    # What the user does.

    @rule(at=place, name=name, kind=st.sampled_from(KINDS), picture=picture)
    def add(self, at: int, name: str, kind: str, picture: int) -> None:
        """A new file, where the name is free."""
        path = self._at(at, name)
        self._touched()
        if path.parent.is_dir() and not os.path.lexists(path):
            self._write(path, kind, picture)

    @rule(at=place)
    def add_folder_called_like_a_picture(self, at: int) -> None:
        """A folder whose name ends like that of a picture."""
        self._touched()
        with suppress(FileExistsError):
            self._at(at, "d.jpg").mkdir()

    @rule(at=place, name=name, kind=st.sampled_from(LINKS), which=pick)
    def link(self, at: int, name: str, kind: str, which: int) -> None:
        """A hard link, a symbolic link or a pipe, where the name is free."""
        path, known = self._at(at, name), self._files()
        self._touched()
        if os.path.lexists(path) or not path.parent.is_dir():
            return
        if kind == "hard" and known:
            os.link(known[which % len(known)], path)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind != "hard":
            targets = {"file": "000001.jpg", "loop": ".", "dangling": "nowhere.jpg"}
            targets |= {"outside file": str(self.outside / "face.jpg"), "outside folder": str(self.outside / "album")}
            path.symlink_to(targets[kind])

    @rule(how=st.sampled_from(MEDDLING), which=pick, picture=picture)
    def meddle(self, how: str, which: int, picture: int) -> None:
        """A change while nothing runs."""
        self._touched()
        self._meddle(how, which, picture)

    @precondition(lambda self: self._aside())
    @rule(how=st.sampled_from(["edit", "remove"]), which=pick)
    def meddle_with_what_was_set_aside(self, how: str, which: int) -> None:
        """A change below the state folder."""
        self._touched()
        path = self._aside()[which % len(self._aside())]
        path.unlink()
        if how == "edit":
            path.write_bytes(b"mine now")

    # What the cleaner does.

    @rule()
    def clean(self) -> None:
        """A whole clean, and a second one that finds nothing to do."""
        before = self._tree()
        continued = self._outstanding() and self._history().open_run is not None
        report = self._operate(lambda: clean_folder(self.folder, ALL), "clean")
        if report is None:
            return
        if continued:
            self._check_notes(report)
        else:
            self._check_report(before, report)
        if any(why == "its new name is taken" for _, why in report.left):
            return  # by a file the user laid among those set aside; told, and another run finds another place
        after = self._tree()
        again = self._operate(lambda: clean_folder(self.folder, ALL), "clean again")
        assert again is not None, "I3"
        assert (again.run, again.set_aside, again.renames) == (None, (), ()), "I3"
        assert not differences(after, self._tree()), "I3"

    @rule()
    def plan(self) -> None:
        """A dry run changes nothing."""
        before = self._tree()
        plan = self._operate(lambda: clean_folder(self.folder, ALL, dry_run=True), "plan")
        assert plan is None or plan.run is None
        assert not differences(before, self._tree()), "a plan changed something"

    @rule()
    def clean_a_little(self) -> None:
        """A clean that may be refused for what it would set aside."""
        before = self._tree()
        policy = CleanPolicy(max_remove=0.1)
        pending = self._history().pending
        report = self._operate(lambda: clean_folder(self.folder, policy), "clean a little")
        if report is None and not pending:
            assert self._names(before) == self._names(self._tree()), "refused and moved"

    @rule(at=step, after=st.booleans(), found=mess, then=st.sampled_from(["", "clean", "undo"]))
    def clean_and_crash(self, at: int, after: bool, found: list[Entry], then: str) -> None:
        """A clean that dies; then perhaps another, then perhaps an undo."""
        self._stir(found)
        self._crash(at, after, lambda: clean_folder(self.folder, ALL))
        if then == "clean":
            self.clean()
        if then:
            self.undo(all_runs=True)

    @rule(at=step, code=st.sampled_from([errno.ENOSPC, errno.EIO, errno.EROFS]), found=mess)
    def clean_on_a_failing_disk(self, at: int, code: int, found: list[Entry]) -> None:
        """A clean during which one call fails."""
        self._stir(found)

        def fail() -> None:
            self.counts["failing disk"] += 1
            raise OSError(code, os.strerror(code), "somewhere")

        with self._disk(HookedDisk(at, fail)):
            self._operate(lambda: clean_folder(self.folder, ALL), "clean, failing", failing=True)

    @rule(how=st.sampled_from(MEDDLING), which=pick, picture=picture, found=mess)
    def clean_while_the_user_works(self, how: str, which: int, picture: int, found: list[Entry]) -> None:
        """The user acts between the plan and the first move."""
        self._stir(found)
        real = Journal.apply

        def apply(journal: Journal, *arguments: Any, **options: Any) -> Any:
            self._interfere(how, which, picture)
            return real(journal, *arguments, **options)

        with mock.patch.object(Journal, "apply", apply):
            self._operate(lambda: clean_folder(self.folder, ALL), "clean, meddled")

    @rule(how=st.sampled_from(MEDDLING), which=pick, picture=picture, at=step, found=mess)
    def clean_while_the_user_works_between_moves(
        self, how: str, which: int, picture: int, at: int, found: list[Entry]
    ) -> None:
        """The user acts between two calls that change the disk."""
        self._stir(found)
        disk = HookedDisk(at, lambda: self._interfere(how, which, picture), kinds=OPEN_TO_OTHERS)
        with self._disk(disk):
            self._operate(lambda: clean_folder(self.folder, ALL), "clean, meddled")

    @rule(at=st.integers(1, 6), found=mess)
    def a_second_clean_comes_at_the_wrong_moment(self, at: int, found: list[Entry]) -> None:
        """Another run begins while one is at work: it is refused."""
        self._stir(found)

        def second() -> None:
            self.counts["second"] += 1
            try:
                clean_folder(self.folder, ALL)
            except RefusedError as error:
                if "in use by process" not in str(error) and "no pictures" not in str(error):
                    raise AssertionError(str(error)) from error
            except AnnotationError:
                assert self.layout == "imagefolder"
            else:
                raise AssertionError("two runs at once")

        disk = HookedDisk(at, second, kinds=("append", "sync", "link", "unlink"))
        with self._disk(disk):
            self._operate(lambda: clean_folder(self.folder, ALL), "clean")

    @rule(all_runs=st.booleans())
    def undo(self, all_runs: bool) -> None:
        """An undo of the last run or of all."""
        report = self._operate(lambda: undo_clean(self.folder, all_runs=all_runs), "undo")
        if report is not None and not self.spoilt:
            assert report.left == (), "I2"
        if report is not None and not self._outstanding():
            self._settle()

    @rule(at=step, after=st.booleans(), all_runs=st.booleans())
    def undo_and_crash(self, at: int, after: bool, all_runs: bool) -> None:
        """An undo that dies, and the one that goes on."""
        if not self._outstanding():
            self.clean()
        self._crash(at, after, lambda: undo_clean(self.folder, all_runs=all_runs))
        self.undo(all_runs=all_runs)

    # How it is checked.

    def _operate(self, work: Callable[[], Any], what: str, *, failing: bool = False) -> Any:
        if self.origin is None:
            self.origin, self.spoilt = self._tree(), False
        self.things, outside = contents(self.base), tree(self.outside)
        result = None
        try:
            result = work()
        except Crash:
            self.counts["crash"] += 1
        except FaceAugError as error:
            self._allow(error, failing)
        self.counts[what if result is not None else f"{what}: refused"] += 1
        assert contents(self.base) == self.things, "I1"
        assert tree(self.outside) == outside, "I6"
        assert {path.name for path in self.base.iterdir()} <= {"celeba", "outside", ".celeba.faceaug"}, "I6"
        return result

    def _allow(self, error: FaceAugError, failing: bool) -> None:
        assert not isinstance(error, Interrupted)
        if isinstance(error, AnnotationError):
            assert self.layout == "imagefolder", error
        elif isinstance(error, JournalError):
            gone = "in neither of its places" in str(error) and self.spoilt
            assert gone or (failing and "the disk reports" in str(error)), error
        elif not failing:
            expected = ("no pictures", "no run to undo", "would be set aside", "nothing to undo")
            assert any(words in str(error) for words in expected), error

    def _crash(self, at: int, after: bool, work: Callable[[], object]) -> None:
        def crash() -> None:
            raise Crash

        with self._disk(HookedDisk(at, crash, after=after)):
            self._operate(work, "crashing")

    def _disk(self, disk: Disk) -> Any:
        return mock.patch.object(faceaug.storage.journal, "Disk", return_value=disk)

    def _check_report(self, before: dict[str, tuple[Any, ...]], report: CleanReport) -> None:
        after = self._tree()
        gone = {entry.name for entry in report.set_aside} | {rename.old for rename in report.renames}
        expected = (self._names(before) - gone) | {rename.new for rename in report.renames}
        assert self._names(after) == expected, f"I5: {self._names(after) ^ expected}"
        for rename in report.renames:
            assert after[rename.new][2] == before[rename.old][2], f"I5 {rename}"
        for entry in report.set_aside:
            kept = state_folder(self.folder, beside=False) / "set-aside" / str(report.run) / entry.name
            assert digest(kept) == before[entry.name][2], f"I5 {entry}"
            if entry.keeper:
                one, other = self.family.get(before[entry.name][2]), self.family.get(after[entry.keeper][2])
                assert one == other is not None, f"I4 {entry}"

    def _check_notes(self, report: CleanReport) -> None:
        """A run that goes on names what it moved before it was stopped, too."""
        told = {entry.name for entry in report.set_aside} | {rename.new for rename in report.renames}
        run = self._history().runs[-1]
        for place, moved in run.moved.items():
            noted = any(printable(moved.origin) in note for note in report.notes)
            assert {moved.origin, place} & told or noted, f"I5 {moved.origin}"

    def _settle(self) -> None:
        """No run is left to undo: the tree is as it was, unless the user changed it."""
        if self.origin is not None and not self.spoilt:
            unlike = differences(self.origin, self._tree())
            assert not unlike, f"I2 {unlike}"
            self.counts["given back"] += 1
        self.origin = None

    def _history(self) -> Any:
        return read_journal(self.folder, beside=False)

    def _outstanding(self) -> bool:
        history = self._history()
        return bool(history.pending) or any(run.moved or not run.undone for run in history.runs)

    def _stir(self, found: list[Entry]) -> None:
        """New things for a folder that has nothing to undo."""
        if not self._outstanding():
            for at, name, kind, number in found:
                self.add(at, name, kind, number)

    def _touched(self) -> None:
        if self._outstanding():
            self.spoilt = True
        else:
            self.origin = None

    def _interfere(self, how: str, which: int, picture: int) -> None:
        self.counts["interfered"] += 1
        self.spoilt = True
        self._meddle(how, which, picture)
        self.things = contents(self.base)

    def _meddle(self, how: str, which: int, picture: int) -> None:
        known = self._files()
        if how == "add" or not known:
            path = self._at(which % 2, NAMES[which % len(NAMES)])
            if path.parent.is_dir() and not os.path.lexists(path):
                self._write(path, "picture", picture)
            return
        path = known[which % len(known)]
        if how == "edit":
            family = self.family.get(digest(path))
            path.write_bytes(path.read_bytes() + b"more")
            if family is not None:  # what follows the end of a picture is no part of it
                self.family[digest(path)] = family
        elif how == "exchange":
            new = self.base / "new"
            self._write(new, "picture", picture)
            os.replace(new, path)
        elif how == "remove":
            path.unlink()
        elif how == "rename":
            target = path.parent / NAMES[picture]
            if not os.path.lexists(target):
                path.rename(target)
        elif how == "touch":
            os.utime(path, ns=(OLD, OLD + picture))
        else:
            path.chmod(0o600 + picture)

    def _write(self, path: Path, kind: str, picture: int) -> None:
        data = {
            "picture": lambda: jpeg(picture),
            "same pixels": lambda: same_pixels(picture),
            "other quality": lambda: jpeg(picture, quality=60),
            "cut": lambda: jpeg(picture)[: 100 * picture],
            "empty": lambda: b"",
            "text": lambda: b"no picture %d" % picture,
        }[kind]()
        path.write_bytes(data)
        os.utime(path, ns=(OLD, OLD + picture))
        if kind in {"picture", "same pixels", "other quality"}:
            self.family[digest(path)] = picture

    def _at(self, place: int, name: str) -> Path:
        return self.folder / PLACES[self.layout][place] / name

    def _files(self) -> list[Path]:
        found = [path for path in self.folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
        ours = self.folder / ".faceaug"
        return sorted(path for path in found if ours not in path.parents and path.suffix not in {".csv", ".txt"})

    def _aside(self) -> list[Path]:
        inside = state_folder(self.folder, beside=False) / "set-aside"
        return sorted(path for path in inside.rglob("*") if stat.S_ISREG(path.lstat().st_mode))

    def _tree(self) -> dict[str, tuple[Any, ...]]:
        return tree(self.folder)

    def _names(self, found: dict[str, tuple[Any, ...]]) -> set[str]:
        return {name for name, (mode, _, _) in found.items() if stat.S_ISREG(mode)}


def run_machine(n: int, *, steps: int = 20, seed: int | None = None) -> Counter[str]:
    """Run the machine; derandomized where no seed is given. Returns how often what happened.

    Raises:
        AssertionError: an invariant was violated, with the steps that show it.
    """
    FolderMachine.counts = Counter()
    machine: Any = FolderMachine if seed is None else seeded(seed)(type("FolderMachine", (FolderMachine,), {}))
    options = settings(
        max_examples=n, stateful_step_count=steps, deadline=None, database=None, derandomize=seed is None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=options)
    return FolderMachine.counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000, help="folders")
    parser.add_argument("--steps", type=int, default=20, help="steps in the life of a folder, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began, failed = time.monotonic(), ""
    try:
        run_machine(options.n, steps=options.steps, seed=options.seed)
    except AssertionError as error:
        failed = "\n".join([str(error), *getattr(error, "__notes__", [])])
    result = {
        "figure": "folders in whose life an invariant (I1 to I6) was violated",
        "n": options.n,
        "steps": options.steps,
        "failures": int(bool(failed)),
        "failed": failed,
        "happened": dict(sorted(FolderMachine.counts.items())),
        "seed": options.seed,
        "seconds": round(time.monotonic() - began, 1),
    }
    said = f"--n {options.n} --steps {options.steps} --seed {options.seed}"
    publish("folders", result, f"python -m benchmarks.reliability.folders {said}")


if __name__ == "__main__":
    main()

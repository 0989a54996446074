from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faceaug.clean import clean_folder
from faceaug.errors import RefusedError
from faceaug.storage import locks
from faceaug.storage.files import OUTPUT_LOCK, finish_output
from faceaug.storage.locks import claimed_output
from tests.clean.zoo import celeba, good, jpeg, tree

MARKER = "run.json"


def claim(out: Path, identity: int = 1) -> object:
    return claimed_output(out, marker=MARKER, identity={"n": identity}, purpose="synth")


def test_an_output_that_is_being_filled_is_refused_in_one_line_that_names_the_holder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with claim(out) as continued:  # type: ignore[attr-defined]
        assert continued is False
        for identity in (1, 2):  # not "another run, remove it": it is at work
            with (
                pytest.raises(RefusedError, match=rf"in use by process {os.getpid()} \(faceaug synth\)"),
                claim(out, identity),
            ):  # type: ignore[attr-defined]
                pass
        finish_output(out, marker=MARKER, document={"run": {"n": 1}})
    assert os.listdir(out) == [MARKER]
    with pytest.raises(RefusedError, match="a finished run"), claim(out):  # type: ignore[attr-defined]
        pass


def test_a_stopped_run_is_continued_and_what_is_refused_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), claim(out):  # type: ignore[attr-defined]
        raise KeyboardInterrupt
    with claim(out) as continued:  # type: ignore[attr-defined]
        assert continued is True
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    before = tree(other)
    with pytest.raises(RefusedError, match="not empty"), claim(other):  # type: ignore[attr-defined]
        pass
    assert tree(other) == before
    with (
        pytest.raises(RefusedError, match="lies inside"),
        claimed_output(other / "new", inside=other, marker=MARKER, identity={}, purpose="expand"),
    ):
        pass
    assert tree(other) == before


def test_an_output_on_a_disk_without_locks_is_filled_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without(locks.FileLock):
        def acquire(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise NotImplementedError("no flock")

    monkeypatch.setattr(locks, "FileLock", Without)
    with claim(tmp_path / "out") as continued:  # type: ignore[attr-defined]
        assert continued is False


@pytest.mark.parametrize("name", ["lock", OUTPUT_LOCK])
@pytest.mark.parametrize("needed", [True, False])
def test_a_lock_that_is_a_link_is_refused_and_what_it_leads_to_is_kept(tmp_path: Path, name: str, needed: bool) -> None:
    (tmp_path / "precious").write_text("mine")
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "precious")
    with pytest.raises(RefusedError, match="symbolic link"), locks.locked(folder, "test", name=name, needed=needed):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


HOLD = """
import sys, time
from pathlib import Path
from faceaug.storage.locks import claimed_output
out = Path(sys.argv[1])
with claimed_output(out, marker="clean.json", identity={}, purpose="clean"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_copy_into_a_folder_that_another_process_fills_is_refused_until_that_one_is_gone(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3, 4, 6) | {"000005.jpg": jpeg(1)})
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RefusedError, match=rf"in use by process {holder.pid} \(faceaug clean\)"):
            clean_folder(folder, out=out)
        holder.kill()
        holder.wait()
    with pytest.raises(RefusedError, match="another run"):  # free again, and not ours
        clean_folder(folder, out=out)
    (out / "clean.json").unlink()
    clean_folder(folder, out=out)
    assert json.loads((out / "clean.json").read_bytes())["finished"]
    assert OUTPUT_LOCK not in os.listdir(out)

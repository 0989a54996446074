from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faceaug.storage.locks import claimed_output
from faceaug.storage.names import check_names
from faceaug.storage.temporary import make_temporary, temporary_folder

MAKE = """
import os, sys
from faceaug.storage.temporary import make_temporary
made = make_temporary()
(made.path / "faces.u8").write_bytes(b"many")
print(made.path, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_killed_run_goes_at_the_next_start_and_that_of_a_living_one_stays(place: Path) -> None:
    environment = os.environ | {"TMPDIR": str(place), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    killed = subprocess.run([sys.executable, "-c", MAKE], env=environment, capture_output=True, text=True, check=False)
    left = Path(killed.stdout.strip())
    assert left.parent == place
    assert (left / "faces.u8").exists()
    with temporary_folder() as living:
        assert not left.exists()
        other = make_temporary()
        assert living.is_dir()
        other.remove()
    assert os.listdir(place) == []


TRY = """
import os, sys
from pathlib import Path
from faceaug.storage import names
names._Probe.merges = lambda *_: os.kill(os.getpid(), 9)
names.check_names(Path(sys.argv[1]), ["A.jpg", "a.jpg"])
"""


def test_a_folder_for_trying_names_goes_at_the_next_start_too(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    out = tmp_path / "out"

    def killed() -> None:
        subprocess.run([sys.executable, "-c", TRY, str(out)], env=environment, check=False)

    killed()
    assert len(os.listdir(tmp_path)) == 1
    check_names(out, ["A.jpg", "a.jpg"])
    assert os.listdir(tmp_path) == []
    out.mkdir()
    killed()
    assert len(os.listdir(out)) == 1
    with claimed_output(out, marker="run.json", identity={}, purpose="test", names=["A.jpg", "a.jpg"]):
        pass  # it is not in the way
    assert sorted(os.listdir(out)) == ["run.json"]


def test_what_only_looks_like_ours_stays(place: Path) -> None:
    mine = place / "faceaug-temporary-notes"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    run = place / "faceaug-run"  # a folder that somebody trains in, with its lock
    run.mkdir()
    (run / "lock").write_text("")
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "faceaug-temporary.lock").write_text("")
    (place / "faceaug-temporary-link").symlink_to(elsewhere)
    with temporary_folder():
        pass
    assert sorted(os.listdir(place)) == [
        "elsewhere",
        "faceaug-run",
        "faceaug-temporary-link",
        "faceaug-temporary-notes",
    ]
    assert (elsewhere / "faceaug-temporary.lock").exists()

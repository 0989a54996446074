from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

import faceaug

ROOT = Path(__file__).parents[1]
# Whatever opens a socket, and modules that say what was loaded.
WATCH = """
import json, sys, threading
events = []
sys.addaudithook(lambda name, _: events.append(name) if name.startswith("socket.") else None)
"""
TELL = """
print("\\n" + json.dumps({"modules": sorted(sys.modules), "sockets": events, "threads": threading.active_count()}))
"""


def run(program: str, *arguments: str) -> dict[str, Any]:
    """Run a program in a new process; what it loaded and opened."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH + textwrap.dedent(program) + TELL, *arguments],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


COMMAND = """
sys.argv[0] = "faceaug"
from faceaug.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


def test_importing_the_package_loads_nothing_heavy_and_opens_nothing() -> None:
    found = run("import faceaug; dir(faceaug); faceaug.__all__; faceaug.__version__")
    assert {"torch", "torchvision", "cv2", "numpy", "PIL", "click", "safetensors"} & set(found["modules"]) == set()
    assert (found["sockets"], found["threads"]) == ([], 1)


def test_the_help_of_clean_is_there_without_torch_and_opencv() -> None:
    found = run(COMMAND, "clean", "--help")
    assert {"torch", "torchvision", "cv2"} & set(found["modules"]) == set()
    assert (found["sockets"], found["threads"]) == ([], 1)


def test_a_whole_clean_never_loads_torch(celeba_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(celeba_folder, tmp_path / "faces")
    picture = tmp_path / "faces" / "img_align_celeba" / "000001.png"
    shutil.copyfile(picture, picture.with_name("000001 (1).png"))
    found = run(COMMAND, "clean", str(tmp_path / "faces"), "--workers", "1")
    assert {"torch", "torchvision"} & set(found["modules"]) == set()
    assert found["sockets"] == []
    assert not picture.with_name("000001 (1).png").exists()


def test_synth_never_loads_opencv_and_opens_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = run(COMMAND, "synth", "--n", "2", "--out", str(out), "--grid", str(tmp_path / "grid.png"))
    assert {"cv2", "torchvision"} & set(found["modules"]) == set()
    assert found["sockets"] == []
    assert len(list(out.glob("*.png"))) == 2


def test_every_public_name_is_there_and_listed() -> None:
    for name in faceaug.__all__:
        assert getattr(faceaug, name) is not None
    assert set(faceaug.__all__) <= set(dir(faceaug))
    assert len(set(faceaug.__all__)) == len(faceaug.__all__)
    with pytest.raises(AttributeError, match="module 'faceaug' has no attribute 'Flip'"):
        faceaug.Flip  # noqa: B018


def test_type_checkers_see_the_names_that_are_there() -> None:
    text = (ROOT / "src" / "faceaug" / "__init__.py").read_text("utf-8")
    seen = set(re.findall(r"(\w+) as \1", text))
    assert seen == set(faceaug.__all__)


def test_the_version_is_the_newest_of_the_changelog() -> None:
    versions = re.findall(
        r"^## \[?v?([0-9]+\.[0-9]+\.[0-9]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert faceaug.__version__ == project["version"] == versions[0]


def test_the_help_of_serve_is_there_without_a_server_and_without_torch() -> None:
    found = run(COMMAND, "serve", "--help")
    assert {"torch", "uvicorn", "cv2", "faceaug.serve"} & set(found["modules"]) == set()

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from faceaug.deprecated_paths import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_a_former_path_gives_the_module_itself_and_a_warning_that_names_its_new_path(old: str) -> None:
    sys.modules.pop(old, None)
    new = importlib.import_module(MOVED[old])
    with pytest.warns(DeprecationWarning, match=f"{old} is now {MOVED[old]}"):
        found = importlib.import_module(old)
    assert found is new
    assert new.__spec__ is not None
    assert new.__spec__.name == new.__name__ == MOVED[old]


def test_the_warning_points_to_the_line_that_imports() -> None:
    program = "import faceaug\nfrom faceaug.folder import FaceFolder\nassert FaceFolder is faceaug.FaceFolder\n"
    done = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=True)
    assert "<string>:2: DeprecationWarning: faceaug.folder is now faceaug.data.folder" in done.stderr
    assert done.stderr.count("Warning") == 1


def test_the_package_itself_uses_no_former_path() -> None:
    program = """
import sys
import faceaug
from faceaug import cli, deprecated_paths
for name in faceaug.__all__:
    getattr(faceaug, name)
sys.exit(", ".join(set(deprecated_paths.MOVED) & set(sys.modules)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

"""Cuts of the power on a real file system; benchmarks/reliability/powercuts.py makes many more of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
from pathlib import Path
from benchmarks.reliability.powercuts import measure
counts = {"clean": 3, "clean --out": 2, "expand": 2, "synth": 2, "train": 1}
print(json.dumps(measure(counts, int(sys.argv[2]), "ext4", Path(sys.argv[1]))))
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not Path("/dev/loop-control").exists(),
    reason="needs root and loop devices",
)
@pytest.mark.skipif(
    not shutil.which("mkfs.xfs") or not shutil.which("mkfs.ext4"), reason="needs mkfs.xfs and mkfs.ext4"
)
def test_after_a_cut_nothing_is_lost_and_the_same_command_ends_with_the_same_bytes(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), "5"], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failed"] == []
    assert found["n"] == 10

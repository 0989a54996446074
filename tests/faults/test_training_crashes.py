"""A share of benchmarks/reliability/training.py: SIGKILL at random moments, and the run ends as if nothing had been."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.reliability.training import measure


@pytest.mark.slow
def test_a_training_killed_at_any_moment_ends_as_the_undisturbed_one(tmp_path: Path) -> None:
    found = measure(4, 7, tmp_path)
    assert found["failed"] == []
    assert found["n"] == 4

"""A share of benchmarks/reliability/abuse.py: no 5xx but 503, no trace, and an honest client is always served."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from benchmarks.reliability.abuse import measure


def test_an_abused_server_answers_rightly_and_serves_others(tmp_path: Path) -> None:
    # How long others wait is for the benchmark to say, on a machine that does nothing else.
    found = measure(400, 7, tmp_path, slow=60, slow_seconds=7, click=100, processes=1, honest_s=math.inf)
    assert found["failed"] == []
    assert found["n"] >= 400
    assert found["honest"]["answered"] > 5
    assert found["honest"]["refused"] == 0
    bodies = found["parts"]["bodies of 10 MB"]["answers"]
    assert set(bodies) <= {"405", "413"}
    assert set(found["parts"]["a billion faces, on one connection"]["answers"]) == {"400"}
    assert set(found["parts"]["clicks at once"]["answers"]) <= {"200", "503", "none"}

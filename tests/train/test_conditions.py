"""What the bits of a run depend on, recorded and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from faceaug.train import TrainConfig, conditions as module, train_gan
from faceaug.train.conditions import begin_session, conditions, differences

CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "z_size": 8, "g_conv_dim": 4, "d_conv_dim": 4, "batch": 8, "precision": "fp32", "crop": "square",
    "checkpoint_every": 32, "sample_every": 32, "monitor_every": 32, "average_half_life": 100,
}  # fmt: skip


def sessions(run: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((run / "config.json").read_text())["sessions"]
    return found


def test_threads_processor_and_versions_are_named() -> None:
    found = conditions(CPU, 2)
    assert found["threads"] == torch.get_num_threads()
    assert found["processes"] == 2
    said = str(found["torch"]).partition("+")[0]  # the build, such as +cu132, may be left out
    assert said == torch.__version__.partition("+")[0]
    assert found["kernels"] == torch.backends.cpu.get_cpu_capability()
    assert {"device", "system", "features", "python", "numpy"} <= found.keys()


def test_settings_that_choose_other_kernels_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = conditions(CPU)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert differences(before, conditions(CPU)) == "ONEDNN_MAX_CPU_ISA: none before, AVX2 now"


def test_vector_extensions_are_listed_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "cpuinfo"
    monkeypatch.setattr(module, "_CPU_INFO", listing)
    listing.write_text("model name : x\nflags\t\t: fpu fma avx2 avx sse4_2 lm\n\nflags : other\n")
    assert conditions(CPU)["features"] == "avx avx2 fma sse4_2"
    listing.unlink()
    assert conditions(CPU)["features"]


def test_differences_are_told_in_words() -> None:
    before = {"threads": 2, "features": "avx avx2", "torch": "2.6.0", "opencv-python": "5.0"}
    now = {"threads": 1, "features": "avx avx512f", "torch": "2.6.0"}
    assert differences(before, now) == (
        "threads of torch: 2 before, 1 now, processor features: -avx2 +avx512f, opencv-python: 5.0 before, none now"
    )
    assert differences(now, dict(now)) == ""


def test_a_resumed_run_says_what_differs_and_only_then(celeba_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_gan(celeba_folder, run, TrainConfig(**TINY, images=32))
    report = train_gan(celeba_folder, run, TrainConfig(**TINY, images=64), resume=True)
    assert not any("conditions" in note for note in report.notes)
    assert [one["images"] for one in sessions(run)] == [0, 32]
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.warns(UserWarning, match=f"threads of torch: {threads} before, {threads + 1} now.*not equal"):
            report = train_gan(celeba_folder, run, TrainConfig(**TINY, images=96), resume=True)
    finally:
        torch.set_num_threads(threads)
    assert "after 64 images under other conditions" in report.notes[-1]
    assert [one["conditions"]["threads"] for one in sessions(run)] == [threads, threads, threads + 1]
    assert json.loads((run / "config.json").read_text())["finished"]


def test_a_session_without_a_checkpoint_is_forgotten_and_an_old_run_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"run": {"images": 64}, "finished": False}))
    assert begin_session(tmp_path, 32, {"threads": 4}) == ()
    assert begin_session(tmp_path, 32, {"threads": 2}) == ()  # the one with 4 threads ended before it saved anything
    assert [one["conditions"] for one in sessions(tmp_path)] == [{"threads": 2}]
    assert json.loads((tmp_path / "config.json").read_text())["run"] == {"images": 64}

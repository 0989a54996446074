"""A twentieth of what ``benchmarks/reliability`` counts in full, always the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from benchmarks.reliability import disks, folders, kill, pictures, power


def test_no_folder_and_no_user_breaks_an_invariant() -> None:
    happened = folders.run_machine(50, steps=10)
    assert happened["crash"] > 0
    assert happened["interfered"] > 0
    assert happened["given back"] > 0
    assert happened["second"] > 0


def test_no_power_cut_takes_a_file_or_its_name() -> None:
    found = power.measure(10, seed=1)
    assert found["n"] > 200
    assert found["failed"] == []


def test_no_file_is_forgotten_on_a_disk_that_numbers_files_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "kinds", lambda: ({"copied": disks.Copied}, []))
    found = disks.measure(8, 1, tmp_path)
    assert found["disks"]["copied"]["happened"]["clean crashed"] > 3
    assert found["failed"] == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: no faults in system calls")
@pytest.mark.parametrize("fault", ["KILL", "ENOSPC", "EIO"])
def test_a_fault_in_a_system_call_loses_nothing_and_is_told_in_a_line(tmp_path: Path, fault: str) -> None:
    found = kill.measure(5, 0, [fault], ["clean"], tmp_path)
    assert found["n"] == 5
    assert found["failed"] == []


def test_malformed_pictures_give_a_picture_or_an_image_error(capfd: pytest.CaptureFixture[str]) -> None:
    result = pictures.batch(1, 0, 500)
    assert result["faults"] == []
    assert result["found"]["accepted"] + result["found"]["refused"] == 500


def test_a_picture_cut_at_any_percent_is_found() -> None:
    assert not any(pictures.missed_cuts().values())
    assert pictures.refused_whole(50) == 0

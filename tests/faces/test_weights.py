from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from faceaug import FaceFinder, WeightsError
from faceaug.faces import weights


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two files in a folder of their own."""
    folder = tmp_path / "models"
    shutil.copytree(weights.FOLDER, folder)
    monkeypatch.setattr(weights, "FOLDER", folder)
    return folder


def test_the_folder_holds_the_pinned_files_and_a_card_that_names_them() -> None:
    assert {path.name for path in weights.FOLDER.iterdir()} == {*weights.PINNED, "README.md"}
    card = (weights.FOLDER / "README.md").read_text("utf-8")
    for name, digest in weights.PINNED.items():
        data = (weights.FOLDER / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest
        assert digest in card
        assert f"{len(data):,} bytes" in card
    assert "non-commercial" in card
    assert sum(path.stat().st_size for path in weights.FOLDER.iterdir()) < 2.5e6


@pytest.mark.parametrize("name", sorted(weights.PINNED))
def test_an_altered_file_is_not_used(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(WeightsError, match=f"{name}: damaged or altered: SHA-256 is .*; install faceaug again"):
        weights.read_weights(name)


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / weights.ONET).unlink()
    with pytest.raises(WeightsError, match=r"onet\.safetensors.*install faceaug again"):
        weights.read_tensors(weights.ONET)


def test_a_finder_reads_its_files_when_it_is_first_used(copied: Path) -> None:
    shutil.rmtree(copied)
    finder = FaceFinder()
    with pytest.raises(WeightsError):
        finder.find(np.zeros((50, 50, 3), np.uint8))

"""The main job in a notebook: what a reader finds below the cells."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

BEGIN = """
import sys, warnings
import torch
from faceaug import TrainConfig, clean_folder, expand_dataset, train_gan
from faceaug.progress import views
from faceaug.train import export
views.DELAY = 0.0  # bars, however short the work
export._STATISTICS_BATCHES = 2
config = TrainConfig(z_size=8, g_conv_dim=4, d_conv_dim=4, batch=8, images=64, crop="square", checkpoint_every=32)
torch.optim.Adam([torch.zeros(1)])  # imports half of torch, which warns of itself
warnings.simplefilter("error")
"""
END = "warnings.resetwarnings()"  # the kernel's own, when it ends
CELLS = {
    "clean": "report = clean_folder('faces')\nprint(report.cleaned)",
    "expand": "more = expand_dataset('faces', synthetic=9)\nmore",
    "save": "saved = more.save('plus')\nprint(saved.files)",
    "train": "trained = train_gan('faces', 'run', config)\nprint(trained.images)",
}


def outputs_of(cells: list[str], place: Path) -> list[list[dict[str, Any]]]:
    """Run cells as a notebook; what is below each."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in [*cells, END]])
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(place)}}
    )
    return [cell["outputs"] for cell in client.execute()["cells"]][:-1]


def texts(outputs: list[dict[str, Any]]) -> list[str]:
    return [output["text"] if "text" in output else output["data"].get("text/plain", "") for output in outputs]


@pytest.fixture
def place(celeba_folder: Path, tmp_path: Path) -> Path:
    pictures = Path(shutil.copytree(celeba_folder, tmp_path / "faces")) / "img_align_celeba"
    shutil.copyfile(pictures / "000002.png", pictures / "000002 (1).png")
    return tmp_path


def test_with_widgets_each_phase_is_a_bar_and_nothing_else_is_said(place: Path) -> None:
    pytest.importorskip("ipywidgets")
    first, *rest = outputs_of([BEGIN, *CELLS.values()], place)
    assert first == []
    found = dict(zip(CELLS, rest, strict=True))
    for below in found.values():
        assert sum(map(_is_widget, below)) == len(below) - 1 >= 2
    _nothing_is_odd(found)


def test_without_widgets_each_phase_is_one_line_that_says_how_long_it_took(place: Path) -> None:
    _, *rest = outputs_of([BEGIN + "sys.modules['ipywidgets'] = None", *CELLS.values()], place)
    found = dict(zip(CELLS, rest, strict=True))
    assert not any(_is_widget(output) for below in found.values() for output in below)
    _nothing_is_odd(found)
    lines = {name: [text for text in texts(below) if " in " in text] for name, below in found.items()}
    short = ("sampling", "preparing", "saving")  # shown where they take longer
    lines = {name: [line for line in below if not line.startswith(short)] for name, below in lines.items()}
    expected = {
        "clean": ["reading: 61 pictures", "screening: 4 thumbnails", "moving: 1 moves", "illustrating: 2 pictures"],
        "expand": ["reading: 42 pictures", "generating: 9 faces"],
        "save": ["writing: 84 pictures", "writing: 9 synthetic faces"],
        "train": ["reading: 42 pictures", "training: 64 images"],
    }
    assert {name: [re.sub(r" in \d+ s$", "", line) for line in below] for name, below in lines.items()} == expected


def _is_widget(output: dict[str, Any]) -> bool:
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def _nothing_is_odd(found: dict[str, list[dict[str, Any]]]) -> None:
    for below in found.values():
        assert not any(output["output_type"] == "error" or output.get("name") == "stderr" for output in below), below
        assert not any("\r" in text or "\x1b" in text for text in texts(below)), below
    said = {name: texts(below)[-1].rstrip() for name, below in found.items()}
    assert said["clean"] == "60"
    assert said["expand"].startswith("ExpandedDataset(")
    assert (said["save"], said["train"]) == ("93", "64")

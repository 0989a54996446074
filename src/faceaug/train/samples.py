"""Faces from fixed latents: sample sheets along the way, and an animation of the sheets at the end."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image, PngImagePlugin
from torch import Tensor, nn

from faceaug.data.image import encode_png, read_image
from faceaug.data.marks import TRAIN, is_bare, sheet_kind, sheet_text
from faceaug.draws import stream
from faceaug.errors import RefusedError
from faceaug.progress import aside
from faceaug.reports.shell import grid
from faceaug.storage.files import write_bytes
from faceaug.storage.outputs import check_output
from faceaug.synthesize.source import to_uint8
from faceaug.train.config import TrainConfig

FOLDER = "samples"
FILM = "samples.png"
_SAMPLES = 32  # faces in each half of a sheet: raw weights above, EMA below
_FRAMES = 48  # of the animation, evenly spaced
_FRAME_MS = 250
_LAST_MS = 2000
_BATCH = 64
_HEADER = 33  # bytes of a PNG that say its size and colours


@torch.no_grad()
def fixed_faces(
    network: nn.Module, config: TrainConfig, n: int, device: torch.device, attributes: Tensor | None = None
) -> Tensor:
    """Generate the first n faces from the run's fixed latents: uint8 (n, 3, size, size).

    Batch norm uses its running statistics. A conditional network needs ``attributes``, float32 (n, 40).
    """
    z = stream(config.seed, slot="train/samples").standard_normal((n, config.z_size), "f4")
    training = network.training
    network.eval()
    given = (torch.from_numpy(z),) if attributes is None else (torch.from_numpy(z), attributes)
    parts = zip(*(torch.split(x.to(device), _BATCH) for x in given), strict=True)
    faces = [to_uint8(network(*part)).cpu() for part in parts]
    network.train(training)
    return torch.cat(faces)


def write_sheet(run: Path, images: int, raw: Tensor, averaged: Tensor) -> None:
    """Write a sheet: faces of the raw weights above, of the EMA below, uint8 (n, 3, size, size) each."""
    faces = torch.cat([raw[:_SAMPLES], averaged[:_SAMPLES]])
    enlarge = 2 if faces.shape[2] <= 64 else 1
    sheet = grid(list(faces.permute(0, 2, 3, 1).numpy()), columns=16, enlarge=enlarge)
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    _write(folder / f"{images:09d}.png", encode_png(sheet, text=sheet_text(TRAIN)))


def write_film(run: Path) -> None:
    """Write at most 48 sheets of a run as one animated PNG; with fewer than two sheets, write nothing."""
    found = (path for path in (run / FOLDER).glob("*.png") if path.stem.isdecimal() and path.is_file())
    sheets = sorted(found, key=lambda path: (len(path.name), path.name))
    if len(sheets) > _FRAMES:
        sheets = [sheets[round(k * (len(sheets) - 1) / (_FRAMES - 1))] for k in range(_FRAMES)]
    frames = [Image.fromarray(read_image(path)) for path in sheets]
    if len(frames) < 2:
        return
    buffer = io.BytesIO()
    durations = [_FRAME_MS] * (len(frames) - 1) + [_LAST_MS]
    mark = PngImagePlugin.PngInfo()
    for key, value in sheet_text(TRAIN).items():
        mark.add_text(key, value)
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=durations, loop=0, pnginfo=mark)
    _write(run / FILM, buffer.getvalue())


def _write(path: Path, data: bytes) -> None:
    """Write a picture of the run; one of somebody else's with its name stays, and the training goes on."""
    header = data[:_HEADER]
    marked = sheet_kind(TRAIN)
    # Without the mark, as faceaug wrote them in 0.1.0: a picture of the same size that says nothing of itself.
    kind = replace(marked, is_ours=lambda head: marked.is_ours(head) or (head[:_HEADER] == header and is_bare(head)))
    try:
        check_output(path, [kind])
    except RefusedError as error:
        with aside():
            warnings.warn(f"{error}; this picture of the run is left out", stacklevel=3)
        return
    write_bytes(path, data)

"""Teach a generator to draw what an older one draws, cut to the centre square of the photo. Writes a model folder.

    PYTHONPATH=src python benchmarks/straighten.py faces-64 --data CELEBA64C --out OUT --images 300000

The models bundled up to 0.1 learnt from whole photos of 178x218 squeezed to a square, so their faces are a fifth too
flat. What they draw is a squeezed photo: rows 20 to 198 of 218, stretched to the whole height, are the face true in
shape. A copy of the generator learns to draw that by regression, from the same latent vectors and attributes; no real
face is used, but for the attributes of the rows in DATA. ``faceaug train --init OUT`` goes on from there on true faces,
which takes a fraction of the images that a training from nothing takes.

The run can be stopped at any time (SIGTERM) and continued by the same command. It prints one JSON line at the end.
"""

from __future__ import annotations

import argparse
import copy
import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import facts
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceaug.data.folder import FaceFolder
from faceaug.storage.files import write_bytes
from faceaug.synthesize.weights import load_model, save_model

TOP, BOTTOM, HEIGHT = 20, 198, 218  # rows of CelebA's aligned photo: the centre square, and all
AVERAGE = 0.999


def straightened(faces: Tensor) -> Tensor:
    """Cut the centre square out of squeezed photos: float (n, 3, side, side), -1..1, stretched by bicubic sampling."""
    side = faces.shape[-1]
    rows = (TOP + (torch.arange(side) + 0.5) * (BOTTOM - TOP) / side) / HEIGHT * 2 - 1
    columns = (torch.arange(side) + 0.5) / side * 2 - 1
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)
    places = grid.expand(len(faces), -1, -1, -1)
    return F.grid_sample(faces, places, "bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)


def requests(rows: np.ndarray[Any, Any], n: int, draw: np.random.Generator) -> Tensor:
    """Attributes of n real rows; of half of them some are left out, of a twentieth all."""
    asked = rows[draw.integers(len(rows), size=n)].astype(np.float32)
    keep = draw.random((n, 1)) * 1.5  # above 1: everything
    asked *= draw.random(asked.shape) < keep
    asked[draw.random(n) < 0.05] = 0
    return torch.from_numpy(asked)


def difference(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference at full, half and quarter size, so that outlines count beside texture."""
    total = F.l1_loss(drawn, wanted)
    for _ in range(2):
        drawn, wanted = F.avg_pool2d(drawn, 2), F.avg_pool2d(wanted, 2)
        total = total + F.l1_loss(drawn, wanted)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True, help="folder whose attribute rows are asked for")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=300_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    began = time.monotonic()
    torch.manual_seed(asked.seed)
    model = load_model(asked.model)
    conditional = bool(model.config.attributes)
    rows = FaceFolder(asked.data).annotations.attributes if conditional else np.zeros((1, 40), np.int8)
    teacher = model.generator.float().eval().requires_grad_(False)
    student = copy.deepcopy(teacher).requires_grad_(True).train()
    average = copy.deepcopy(student)
    optimizer = torch.optim.Adam(student.parameters(), asked.learning_rate, betas=(0.9, 0.99))
    asked.out.mkdir(parents=True, exist_ok=True)
    kept = asked.out / "straighten.safetensors"
    done = resume(kept, {"student": student, "average": average}, optimizer)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    steps, losses = asked.images // asked.batch, []
    while done < steps and not stopped:
        draw = np.random.default_rng([asked.seed, done])
        z = torch.from_numpy(draw.standard_normal((asked.batch, model.config.z_size), np.float32))
        given = (z, requests(rows, asked.batch, draw)) if conditional else (z,)
        with torch.no_grad():
            wanted = straightened(teacher(*given))
        for group in optimizer.param_groups:
            group["lr"] = asked.learning_rate * min(1.0, (done + 1) / 200, 0.02 + 2 * (1 - done / steps))
        loss = difference(student(*given), wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        blend(average, student)
        losses.append(loss.item())
        done += 1
        if done % 250 == 0 or done == steps or stopped:
            keep(kept, {"student": student, "average": average}, optimizer, done)
            print(
                done * asked.batch, round(float(np.mean(losses[-250:])), 4), round(time.monotonic() - began), flush=True
            )
    if stopped:
        keep(kept, {"student": student, "average": average}, optimizer, done)
        raise SystemExit("stopped; the same command continues")
    save_model(asked.out / "model", average.eval(), model.config, model.rows)
    print(json.dumps({
        "figure": "mean absolute difference from the straightened face, sum of three sizes, -1..1",
        "model": asked.model, "images": done * asked.batch, "loss": round(float(np.mean(losses[-250:])), 4),
    } | facts()))  # fmt: skip


def blend(average: nn.Module, student: nn.Module) -> None:
    """Move the average towards the student; statistics of batch norm are taken over as they are."""
    with torch.no_grad():
        for mean, now in zip(average.parameters(), student.parameters(), strict=True):
            mean.lerp_(now, 1 - AVERAGE)
        for kept, statistic in zip(average.buffers(), student.buffers(), strict=True):
            kept.copy_(statistic)


def keep(path: Path, networks: dict[str, nn.Module], optimizer: torch.optim.Optimizer, done: int) -> None:
    """Write the state of the run, whole or not at all."""
    tensors = {f"{name}.{key}": t for name, network in networks.items() for key, t in network.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{key}": torch.as_tensor(t) for key, t in state.items()}
    part = path.with_suffix(".new")
    save_file({name: t.detach().clone().contiguous() for name, t in tensors.items()}, part, {"done": str(done)})
    write_bytes(path, part.read_bytes())
    part.unlink()


def resume(path: Path, networks: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> int:
    """Load the state of an earlier run; returns the steps it had done, 0 without one."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    for name, network in networks.items():
        network.load_state_dict(
            {key.removeprefix(name + "."): t for key, t in tensors.items() if key.startswith(name + ".")}
        )
    states: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("adam."):
            _, number, field = key.split(".")
            states.setdefault(int(number), {})[field] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": states})
    return int(states[0]["step"].item())


if __name__ == "__main__":
    main()

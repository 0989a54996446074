"""A judge of attributes for the benchmarks: another network, seed and recipe than anything the package holds.

It never trains, filters or chooses a face; it only counts. Train it once, on the train partition alone:

    python benchmarks/judge.py CELEBA64 --out JUDGE [--images 300000]

It prints one JSON line: what it scores on validation faces, the figure that agreement is divided by. An unfinished
JUDGE is continued.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import facts as machine_facts
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceaug.data.annotations import ATTRIBUTES, select_rows
from faceaug.data.folder import FaceFolder
from faceaug.draws import permutation, stream
from faceaug.synthesize.classifier import as_input
from faceaug.synthesize.render import has_bfloat16
from faceaug.train.calibrate import balanced_accuracy, fit_odds
from faceaug.train.classifier_session import Labelled, hold_back, load_labelled
from faceaug.train.views import apply_views, draw_views

SEED = 777
BATCH, RATE, MOMENTUM, DECAY = 96, 0.08, 0.9, 5e-4
CROP = "center178"
STATE, FACTS = "judge.safetensors", "judge.json"
COLUMNS = np.arange(len(ATTRIBUTES))


class Judge(nn.Module):
    """Plain convolutions, each followed by a maximum over neighbours; a mean and a maximum over all places at the end.

    After Simonyan and Zisserman 2015, "Very deep convolutional networks": no shortcut, no view of places, unlike the
    bundled classifier.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, pooled in ((32, True), (64, True), (128, True), (192, False), (192, True)):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ELU()]
            layers += [nn.MaxPool2d(2)] if pooled else []
            channels = width
        self.layers = nn.Sequential(*layers)
        self.hidden = nn.Linear(2 * channels, 256)
        self.out = nn.Linear(256, len(ATTRIBUTES))

    def forward(self, x: Tensor) -> Tensor:
        """Float (n, 3, 64, 64) in -1..1 -> logits (n, 40)."""
        return self.out(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: float (n, 256)."""
        x = self.layers(x)  # (n, 192, 4, 4)
        return F.elu(self.hidden(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)))


def fresh(seed: int) -> Judge:
    judge = Judge()
    with torch.no_grad():
        for name, module in judge.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                numbers = stream(seed, slot=f"judge/{name}").standard_normal(tuple(module.weight.shape), "f4")
                module.weight.copy_(torch.from_numpy(numbers) * math.sqrt(1.5 / module.weight[0].numel()))
                if module.bias is not None:
                    module.bias.zero_()
    return judge


@dataclass(frozen=True)
class Opinion:
    """A trained judge: uint8 faces (n, 3, H, W) -> bool (n, 40); and its balanced accuracy on real faces, (40,)."""

    network: Judge
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    def __call__(self, faces: NDArray[np.uint8] | Tensor) -> NDArray[np.bool_]:
        """Which attributes it sees."""
        return self.scale * _scores(self.network, faces) + self.shift > 0

    def balanced_accuracy(self, faces: Labelled) -> NDArray[np.float64]:
        """Mean of the shares recognised of faces with and without each attribute."""
        answers = self(faces.pixels)
        return np.array([balanced_accuracy(a, y) for a, y in zip(answers.T, faces.labels.T, strict=True)])


def load_judge(folder: Path) -> Opinion:
    facts = json.loads((folder / FACTS).read_text())
    if not facts["finished"]:
        raise SystemExit(f"{folder}: the judge is not finished; run benchmarks/judge.py again")
    judge = Judge()
    judge.load_state_dict(_part(load_file(folder / STATE), "judge"))
    return Opinion(judge.eval(), np.array(facts["scale"]), np.array(facts["shift"]))


@torch.inference_mode()
def _scores(judge: Judge, faces: NDArray[np.uint8] | Tensor) -> NDArray[np.float64]:
    pixels = torch.as_tensor(np.ascontiguousarray(faces))
    judge.eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16(torch.device("cpu"))):
        found = [judge(as_input(part).contiguous(memory_format=torch.channels_last)) for part in pixels.split(128)]
    return torch.cat(found).double().numpy()


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def train(folder: FaceFolder, out: Path, images: int) -> Opinion:
    rows, _ = select_rows(folder.annotations, "train")
    labelled, _ = load_labelled(folder, rows, COLUMNS, crop=CROP)
    held = hold_back(labelled.identity, 0.08, SEED)
    shown, kept = labelled.part(np.flatnonzero(~held)), labelled.part(np.flatnonzero(held))
    judge = fresh(SEED).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(judge.parameters(), RATE, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True)
    done = _restore(out, judge, optimizer)
    clock = time.monotonic()
    while done < images:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(done / (0.1 * images) + 0.05, 1 - done / images)
        _step(judge, optimizer, shown, done)
        done += BATCH
        if done // 24_000 != (done - BATCH) // 24_000 or done >= images:
            _save(out, judge, optimizer, {"images": done, "finished": False})
            print(json.dumps({"images": done, "minutes": round((time.monotonic() - clock) / 60, 1)}), flush=True)
    scores = _scores(judge, kept.pixels)
    odds = [
        _threshold(score, label, y) for score, label, y in zip(scores.T, kept.labels.T, shown.labels.T, strict=True)
    ]
    scale, shift = np.array(odds).T
    _save(out, judge, optimizer, {"images": done, "finished": True, "scale": scale.tolist(), "shift": shift.tolist()})
    return Opinion(judge, scale, shift)


def _threshold(
    score: NDArray[np.float64], label: NDArray[np.int8], all_labels: NDArray[np.int8]
) -> tuple[float, float]:
    scale, shift = fit_odds(score, label)
    share = float((all_labels > 0).mean())
    return scale, shift - math.log(share / (1 - share))


def _step(judge: Judge, optimizer: torch.optim.Optimizer, shown: Labelled, done: int) -> None:
    epoch, start = divmod(done, len(shown) - BATCH)
    rows = permutation(len(shown), SEED, epoch=epoch, slot="judge/order")[start : start + BATCH]
    faces = apply_views(
        as_input(torch.from_numpy(shown.pixels[rows])), draw_views(stream(SEED, index=done, slot="judge/views"), BATCH)
    )
    wanted = (torch.from_numpy(shown.labels[rows]).float() + 1) / 2
    judge.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16(torch.device("cpu"))):
        logits = judge(faces.contiguous(memory_format=torch.channels_last))
    loss = F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none").sum(1).mean() / 4
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(judge.parameters(), 5.0)
    optimizer.step()


def _save(out: Path, judge: Judge, optimizer: torch.optim.Optimizer, facts: dict[str, Any]) -> None:
    state = {f"judge/{key}": value.contiguous() for key, value in judge.state_dict().items()}
    moments = optimizer.state_dict()["state"]
    state |= {f"momentum/{k}": v["momentum_buffer"].contiguous() for k, v in moments.items()}
    out.mkdir(parents=True, exist_ok=True)
    save_file(state, out / STATE)
    (out / FACTS).write_text(json.dumps(facts))


def _restore(out: Path, judge: Judge, optimizer: torch.optim.Optimizer) -> int:
    if not (out / FACTS).is_file():
        return 0
    tensors = load_file(out / STATE)
    judge.load_state_dict(_part(tensors, "judge"))
    buffers = {int(k): {"momentum_buffer": v} for k, v in _part(tensors, "momentum").items()}
    optimizer.load_state_dict({"state": buffers, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(json.loads((out / FACTS).read_text())["images"])


def validation(folder: FaceFolder) -> Labelled:
    rows, _ = select_rows(folder.annotations, "val")
    return load_labelled(folder, rows, COLUMNS, crop=CROP)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=300_000)
    options = parser.parse_args()
    folder = FaceFolder(options.folder)
    opinion = train(folder, options.out, options.images)
    real = validation(folder)
    scores = opinion.balanced_accuracy(real)
    found = {name: round(float(score), 4) for name, score in zip(ATTRIBUTES, scores, strict=True)}
    result = {
        "figure": "balanced accuracy of the judge on real validation faces",
        "faces_shown": options.images,
        "validation_faces": len(real),
        "balanced_accuracy": round(float(scores.mean()), 4),
        "by_attribute": found,
    }
    print(json.dumps(result | machine_facts("faceaug", "torch", "numpy")))


if __name__ == "__main__":
    main()

"""The plain DCGAN that faces-64 is measured against: networks and recipe of pytorch/examples. One JSON line.

    python benchmarks/plain.py CELEBA64 --out SCRATCH --images 800000 [--minutes 60] [--model faces-64]

pytorch/examples, dcgan/main.py: 100 latents through a transposed convolution with batch norm to 512 maps of 4 x 4, four
more to 64 x 64 pixels; a discriminator that mirrors it; binary cross entropy, Adam at 2e-4 with beta1 0.5, batches of
64, nothing mirrored, no average of weights. One average is kept beside it, which its last weights do not use: what
averaging alone brings. Weights of batch norm begin near 1, the others near 0, as there. What is ours is only the
arithmetic: bfloat16 where the processor has instructions for it, channels last, numbers drawn from keyed streams.

Every --every images, and at the end, 10,000 faces are compared with the training and the validation faces, as
``fidelity.py`` does; with --model so are those of models, at the end. Batch-norm statistics are measured anew first.
An unfinished SCRATCH is continued; --minutes stops and keeps.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from fidelity import neighbourhood, real_features
from machine import facts
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.data.annotations import select_rows
from faceaug.data.crop import Crop
from faceaug.draws import stream
from faceaug.evaluate import describe, open_extractor
from faceaug.evaluate.neighbours import surround
from faceaug.synthesize.frechet import feature_statistics, frechet_distance
from faceaug.train.arithmetic import resolve_precision
from faceaug.train.convolution import quicken
from faceaug.train.faces import ShowingOrder, load_faces

SIZE, LATENTS, WIDTH, BATCH = 64, 100, 64, 64
RATE, BETAS = 2e-4, (0.5, 0.999)
HALF_LIFE = 40_000  # images, of the average
CROP: Crop = "center178"
STATE, FACTS = "plain.safetensors", "plain.json"


def generator() -> nn.Sequential:
    layers: list[nn.Module] = [nn.ConvTranspose2d(LATENTS, 8 * WIDTH, 4, 1, 0, bias=False), nn.BatchNorm2d(8 * WIDTH)]
    layers.append(nn.ReLU(inplace=True))
    for wide, narrow in ((8, 4), (4, 2), (2, 1)):
        layers.append(nn.ConvTranspose2d(wide * WIDTH, narrow * WIDTH, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(narrow * WIDTH), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(WIDTH, 3, 4, 2, 1, bias=False), nn.Tanh())


def discriminator() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for narrow, wide in ((1, 2), (2, 4), (4, 8)):
        layers.append(nn.Conv2d(narrow * WIDTH, wide * WIDTH, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(wide * WIDTH), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * WIDTH, 1, 4, 1, 0, bias=False), nn.Flatten())


def begin(network: nn.Module, seed: int, name: str) -> nn.Module:
    """First weights, as pytorch/examples draws them: N(0, 0.02), and N(1, 0.02) for batch norm."""
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if not key.endswith("bias"):
                drawn = stream(seed, slot=f"plain/{name}/{key}").standard_normal(tuple(parameter.shape), "f4")
                parameter.copy_(torch.from_numpy(drawn) * 0.02 + (1.0 if parameter.ndim == 1 else 0.0))
    return network.to(memory_format=torch.channels_last)


class Run:
    """Both networks, their optimizers and the average between two steps."""

    def __init__(self, pixels: NDArray[np.uint8], seed: int) -> None:
        self.pixels, self.seed, self.images = pixels, seed, 0
        self.order = ShowingOrder(len(pixels), seed)
        self.discriminator, self.generator = begin(discriminator(), seed, "d"), begin(generator(), seed, "g")
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        quicken(self.discriminator)
        quicken(self.generator)
        self.adams = {
            name: torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, fused=True)
            for name, network in (("d", self.discriminator), ("g", self.generator))
        }
        self.bf16 = resolve_precision("auto") == "bf16"

    def step(self) -> None:
        """One batch for the discriminator, then its generated half again for the generator."""
        x = torch.from_numpy(self.pixels[self.order(self.images, BATCH)]).float().div_(127.5).sub_(1.0)
        real = x.contiguous(memory_format=torch.channels_last)
        z = latents(self.seed, self.images, "train", BATCH)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            fake = self.generator(z)
            said = F.softplus(-self.discriminator(real)).mean() + F.softplus(self.discriminator(fake.detach())).mean()
        self._descend("d", said)
        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            said = F.softplus(-self.discriminator(fake)).mean()
        self._descend("g", said)
        self.discriminator.requires_grad_(True)
        self.images += BATCH
        keep = 0.5 ** (BATCH / min(HALF_LIFE, 0.1 * self.images))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - keep)

    def _descend(self, name: str, loss: Tensor) -> None:
        self.adams[name].zero_grad(set_to_none=True)
        loss.backward()
        self.adams[name].step()

    def save(self, out: Path, figures: dict[str, Any]) -> None:
        """Everything the next step depends on, and what was measured so far."""
        networks = {"d": self.discriminator, "g": self.generator, "average": self.average}
        state = {
            f"{name}/{key}": v.contiguous() for name, net in networks.items() for key, v in net.state_dict().items()
        }
        for name, adam in self.adams.items():
            for k, moments in adam.state_dict()["state"].items():
                state |= {f"adam-{name}/{k}/{key}": value.contiguous() for key, value in moments.items()}
        out.mkdir(parents=True, exist_ok=True)
        save_file(state, out / f"{STATE}.new")
        (out / f"{STATE}.new").replace(out / STATE)
        (out / FACTS).write_text(json.dumps({"images": self.images, "figures": figures}))

    def restore(self, out: Path) -> dict[str, Any]:
        """What was measured before, if there is a run to go on with."""
        if not (out / FACTS).is_file():
            return {}
        kept, state = json.loads((out / FACTS).read_text()), load_file(out / STATE)
        self.images = kept["images"]
        for name, network in (("d", self.discriminator), ("g", self.generator), ("average", self.average)):
            network.load_state_dict(_part(state, name))
        for name, adam in self.adams.items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in _part(state, f"adam-{name}").items():
                k, field = key.split("/")
                # Fused Adam takes moments and weights place by place, so both must lie in memory alike.
                layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
                moments.setdefault(int(k), {})[field] = value.contiguous(memory_format=layout)
            adam.load_state_dict({"state": moments, "param_groups": adam.state_dict()["param_groups"]})
        return dict(kept["figures"])


def _part(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in state.items() if key.startswith(f"{name}/")}


def latents(seed: int, index: int, slot: str, n: int) -> Tensor:
    drawn = stream(seed, index=index, slot=f"plain/latents/{slot}").standard_normal((n, LATENTS, 1, 1), "f4")
    return torch.from_numpy(drawn)


@torch.no_grad()
def faces_of(network: nn.Module, n: int, seed: int) -> NDArray[np.uint8]:
    """Uint8 (n, 3, 64, 64), with batch-norm statistics measured anew."""
    settled = copy.deepcopy(network).train()
    norms = [module for module in settled.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    for k in range(64):
        settled(latents(seed, k, "statistics", BATCH))
    settled.eval()
    made = [settled(latents(seed, k, "faces", BATCH)) for k in range(-(-n // BATCH))]
    return ((torch.cat(made)[:n] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()


def measure(options: argparse.Namespace) -> Callable[[NDArray[np.uint8]], dict[str, float]]:
    eye = open_extractor("efficientnet-lite0")
    real = real_features(eye, options.folder, CROP, SIZE, cache=options.cache)
    statistics = {part: feature_statistics(features) for part, features in real.items()}
    balls = surround(real["val"])

    def figures(faces: NDArray[np.uint8]) -> dict[str, float]:
        found = describe(eye, faces)
        mine = feature_statistics(found)
        apart = {part: round(frechet_distance(mine, real), 2) for part, real in statistics.items()}
        return apart | neighbourhood(found, balls)

    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=800_000)
    parser.add_argument("--every", type=int, default=200_000)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--model", action="append", default=[], help="name or folder; repeatable")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cache", type=Path, help="folder that keeps the features of real faces")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    folder = FaceFolder(options.folder)
    run = Run(
        load_faces(folder, crop=CROP, size=SIZE, rows=select_rows(folder.annotations, "train")[0])[0], options.seed
    )
    curve, began = run.restore(options.out), time.monotonic()
    figures = measure(options)
    while run.images < options.images and time.monotonic() - began < 60 * options.minutes:
        run.step()
        due = run.images // options.every != (run.images - BATCH) // options.every or run.images >= options.images
        if due:
            networks = (("last", run.generator), ("averaged", run.average))
            curve[str(run.images)] = {name: figures(faces_of(net, options.n, options.seed)) for name, net in networks}
        if due or run.images // 10_000 != (run.images - BATCH) // 10_000:
            run.save(options.out, curve)
    run.save(options.out, curve)
    models = {
        name: figures(SyntheticFaceSource(name, seed=options.seed).generate(options.n).numpy())
        for name in options.model
    }
    result = {
        "figure": "Frechet distance, EfficientNet-Lite0 features, 128 px bilinear, against train and val faces",
        "what": "plain DCGAN of 64 pixels, networks and recipe of pytorch/examples",
        "n": options.n, "seed": options.seed, "images": run.images, "plain": curve, "models": models,
    }  # fmt: skip
    print(json.dumps(result | facts("faceaug", "torch", "numpy", "efficientnet-lite-pytorch")))


if __name__ == "__main__":
    main()

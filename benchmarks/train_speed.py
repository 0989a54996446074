"""Images per second of a training step, ours against a plain loop of the same networks. Prints one JSON line.

    python benchmarks/train_speed.py --batch 128 --rounds 10

The plain loop is that of pytorch/examples (dcgan/main.py) in float32: binary cross entropy with labels, two backward
passes for the discriminator, Adam as it comes, torch's own random numbers, no average of weights. Ours does everything
a run does: drawing from keyed streams, choosing faces from the memory map, mirroring, the average, the guard against
numbers that are not finite. Both see the same faces. Steps take turns, so that what else the machine does hits both;
the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import facts
from torch import nn

from faceaug.draws import stream
from faceaug.synthesize import build_network
from faceaug.train import TrainConfig
from faceaug.train.faces import Faces, fingerprint
from faceaug.train.processes import Processes
from faceaug.train.session import Session


class PlainLoop:
    """What the examples do."""

    def __init__(self, faces: torch.Tensor, batch: int, size: int) -> None:
        self.discriminator, self.generator = build_network(64, 64, 100, size=size)
        self.d_adam, self.g_adam = (
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.discriminator, self.generator)
        )
        self.faces, self.batch = faces, batch
        self.criterion, self.at = nn.BCEWithLogitsLoss(), 0

    def step(self) -> None:
        """One batch for the discriminator, one for the generator."""
        real = self.faces[self.at : self.at + self.batch]
        self.at = (self.at + self.batch) % (len(self.faces) - self.batch)
        self.discriminator.zero_grad()
        label = torch.ones(self.batch, 1)
        self.criterion(self.discriminator(real), label).backward()
        fake = self.generator(torch.randn(self.batch, 100))
        label.zero_()
        d_loss = self.criterion(self.discriminator(fake.detach()), label)
        d_loss.backward()
        self.d_adam.step()
        self.generator.zero_grad()
        label.fill_(1)
        g_loss = self.criterion(self.discriminator(fake), label)
        g_loss.backward()
        self.g_adam.step()
        d_loss.item(), g_loss.item()


def seconds(step: Callable[[], object], repeats: int) -> float:
    """Mean time of a step."""
    began = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - began) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3, help="steps per turn")
    parser.add_argument("--compile", action="store_true", help="also ours with compile=True")
    options = parser.parse_args()

    size = options.size
    pixels = stream(0, slot="bench/faces").integers(0, 256, (options.batch * 4, 3, size, size)).astype(np.uint8)
    plain = PlainLoop(torch.from_numpy(pixels).float() / 127.5 - 1, options.batch, size)
    faces = Faces(pixels, (), fingerprint(pixels), np.arange(len(pixels)))
    alone = Processes(0, 1, 0, torch.device("cpu"))
    variants: dict[str, dict[str, object]] = {"ours": {}, "ours_fp32": {"precision": "fp32"}}
    if options.compile:
        variants["compiled"] = {"compile": True}
    steps: dict[str, Callable[[], object]] = {"plain": plain.step}
    precision = ""
    for name, changes in variants.items():
        session = Session(TrainConfig(batch=options.batch, size=size, **changes), faces, alone, start=None)
        steps[name], precision = session.step, precision or session.networks.precision
    for step in steps.values():
        seconds(step, 2)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, options.repeats))
    median = {name: statistics.median(values) for name, values in times.items()}
    result = {
        "figure": "images per second of a training step of the document's networks",
        "size": size, "batch": options.batch, "rounds": options.rounds, "precision": precision,
        "threads": torch.get_num_threads(),
        "images_per_s": {name: round(options.batch / value, 1) for name, value in median.items()},
        "times_plain": {name: round(median["plain"] / value, 2) for name, value in median.items() if name != "plain"},
    }  # fmt: skip
    print(json.dumps(result | facts("faceaug", "torch")))


if __name__ == "__main__":
    main()

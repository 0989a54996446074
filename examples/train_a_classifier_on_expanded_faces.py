"""Learn one attribute from expanded faces and test it on held-out real ones. Run: python THIS celeba."""

from __future__ import annotations

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader

from faceaug import expand_dataset
from faceaug.data.annotations import attribute_index

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", help="CelebA, with its tables")
parser.add_argument("--attribute", default="Male")
parser.add_argument("--epochs", type=int, default=2)
options = parser.parse_args()
column = attribute_index(options.attribute)

train = expand_dataset(options.folder, copies=1, synthetic=0, balance=options.attribute, size=32)
held_out = expand_dataset(options.folder, partition="val", copies=0, synthetic=0, size=32)  # real faces as they are
loader = DataLoader(train, batch_size=64, sampler=train.sampler())

layers = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten()]
network = nn.Sequential(*layers, nn.Linear(64 * 8 * 8, 1))
adam = torch.optim.Adam(network.parameters(), lr=1e-3)
for epoch in range(options.epochs):
    for images, targets in loader:
        wanted = (targets["attributes"][:, column] > 0).float()
        loss = nn.functional.binary_cross_entropy_with_logits(network(images / 127.5 - 1)[:, 0], wanted)
        adam.zero_grad()
        loss.backward()
        adam.step()
    right = 0
    with torch.inference_mode():
        for images, targets in DataLoader(held_out, batch_size=64):
            guess = network(images / 127.5 - 1)[:, 0] > 0
            right += int((guess == (targets["attributes"][:, column] > 0)).sum())
    print(f"epoch {epoch + 1}: {options.attribute} right for {right / len(held_out):.1%} of {len(held_out)} faces")

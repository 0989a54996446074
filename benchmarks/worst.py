"""The faces of a run that its own discriminator takes least for real ones. Writes a picture; prints one JSON line.

    python benchmarks/worst.py RUN --out worst.png

A thousand faces of the newest checkpoint (its average, where there is one) are judged by the discriminator of the same
checkpoint; the picture has the sixteen with the lowest scores, the lowest first.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from machine import facts

from faceaug import SyntheticFaceSource
from faceaug.data.image import encode_png
from faceaug.reports.shell import grid
from faceaug.synthesize import build_network
from faceaug.train.checkpoint import checkpoints, part, read_checkpoint
from faceaug.train.export import export_model
from faceaug.train.record import read_config

WORST = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    config = read_config(options.run)
    if config.conditional:
        parser.error(f"{options.run}: its discriminator judges attributes too; see attributes.py --sheet")
    with tempfile.TemporaryDirectory() as folder:
        export_model(options.run, Path(folder) / "model")
        faces = SyntheticFaceSource(Path(folder) / "model", seed=options.seed).generate(options.n)
    saved = read_checkpoint(checkpoints(options.run)[-1])
    discriminator, _ = build_network(
        config.d_conv_dim, config.g_conv_dim, config.z_size, size=config.size, d_norm=config.d_norm,
        minibatch_stddev=config.minibatch_stddev, d_contrast=config.d_contrast,
    )  # fmt: skip
    discriminator.load_state_dict(part(saved.tensors, "discriminator"))
    discriminator.eval()
    with torch.no_grad():
        scores = torch.cat([discriminator(batch.float() / 127.5 - 1) for batch in faces.split(100)])[:, 0].numpy()
    order = np.argsort(scores, kind="stable")[:WORST]
    pictures = [face.permute(1, 2, 0).numpy() for face in faces[order.tolist()]]
    options.out.write_bytes(encode_png(grid(pictures, columns=8, enlarge=4)))
    found = {"figure": "discriminator's score: the lowest, the median, the highest", "n": options.n}
    found |= {"images": saved.images, "faces": order.tolist(), "scores": np.percentile(scores, [0, 50, 100]).tolist()}
    print(json.dumps(found | facts("faceaug", "torch")))


if __name__ == "__main__":
    main()

"""Make src/faceaug/faces/models/onet.safetensors out of facenet-pytorch's onet.pt. Prints the SHA-256 of both.

    pip download --no-deps facenet-pytorch==2.6.0 && unzip facenet_pytorch-2.6.0-py3-none-any.whl -d unpacked
    PYTHONPATH=src python benchmarks/onet_weights.py unpacked/facenet_pytorch/data/onet.pt onet.safetensors

The numbers stay as they are, in float32. The one program that reads this pickle; it takes tensors only.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save

from faceaug.faces.onet import SHAPES

SOURCE = "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d"


def main(source: Path, target: Path) -> None:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if digest != SOURCE:
        sys.exit(f"{source.name}: SHA-256 is {digest}, expected {SOURCE}: not the file of facenet-pytorch 2.6.0")
    tensors = torch.load(source, map_location="cpu", weights_only=True)
    assert {name: tuple(t.shape) for name, t in tensors.items()} == SHAPES
    data = save({name: t.float().contiguous() for name, t in tensors.items()})
    target.write_bytes(data)
    print(json.dumps({"source": digest, "target": hashlib.sha256(data).hexdigest(), "bytes": len(data)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

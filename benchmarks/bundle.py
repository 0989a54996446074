"""Put a trained generator into the package: weights, card and measured figures. For those who maintain faceaug.

    python benchmarks/bundle.py RUN CELEBA64 --name dcgan-32 [--weights average] [--out FOLDER]

Writes the newest checkpoint as a model folder, or the model itself where RUN is one (a blend), measures it with
`faceaug evaluate` on 10,000 faces against the training rows and against the validation rows, and writes the figures
into `metrics.json` and the card. Prints the SHA-256 of config.json, which belongs into
``faceaug.synthesize.weights.BUNDLED``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import torch
from machine import facts

from faceaug.evaluate import evaluate_source
from faceaug.synthesize.cards import model_card
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.weights import BUNDLED_FOLDER, CARD, CONFIG, load_model, save_model
from faceaug.train.checkpoint import checkpoints
from faceaug.train.export import export_model

LICENSE = "LicenseRef-CelebA-NonCommercial"
DATA = "24,152 faces: CelebA's train partition as far as celeba64 holds it"
METRICS = "metrics.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path, help="CelebA, with its tables")
    parser.add_argument("--name", required=True)
    parser.add_argument("--weights", choices=("average", "raw"))
    parser.add_argument("--out", type=Path, help="model folder; the package's own by default")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--report", type=Path, help="also write the page of the evaluation; it shows real faces")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    out = options.out or BUNDLED_FOLDER / options.name
    if checkpoints(options.run):
        config = export_model(
            options.run, out, weights=options.weights, name=options.name, license=LICENSE, data=DATA
        )  # fmt: skip
    else:
        config = _rename(options.run, out, options.name)
    report = evaluate_source(out, options.folder, n=options.n)
    if options.report:
        options.report.write_text(report.to_html(), "utf-8")
    metrics = report.to_json()
    del metrics["folder"], metrics["unreadable"]  # where it lay, and what was left out of it, concern nobody
    (out / METRICS).write_text(json.dumps(metrics | {"machine": facts("torch")["machine"]}, indent=2) + "\n", "utf-8")
    (out / CARD).write_text(model_card(config, metrics), "utf-8")
    pin = hashlib.sha256((out / CONFIG).read_bytes()).hexdigest()
    print(json.dumps({"name": options.name, "sha256": pin, "figures": metrics["figures"][0]}))


def _rename(source: Path, out: Path, name: str) -> ModelConfig:
    """A model folder as it is, under another name, with what is known of its data."""
    model = load_model(source)
    training = model.config.training | {"data": DATA}
    config = replace(model.config, name=name, license=LICENSE, training=training)
    return save_model(out, model.generator, config, model.rows)


if __name__ == "__main__":
    main()

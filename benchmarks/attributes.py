"""Does a generator obey attributes? Agreement and edits, by a judge that took no part in anything. One JSON line.

    python benchmarks/judge.py CELEBA64 --out JUDGE
    python benchmarks/attributes.py CELEBA64 --judge JUDGE --model faces-64 [--sheet worst.png]

Agreement: per attribute 500 requests with it and 500 without; the other 39 attributes are those of real validation
rows. Mean of both hit rates, over the judge's balanced accuracy on real validation faces. Nothing is filtered.

Edits: every attribute of 200 faces turned into its opposite; share in which the judge sees the new value, and share of
its other 39 answers that change too. What the judge itself cannot tell apart counts against the edit here. As users
get them, by eye of the bundled classifier (which is not the judge), and by the generator alone.

--sheet draws the 16 faces that least show what they were asked for.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from judge import Opinion, load_judge, validation
from machine import facts
from numpy.typing import NDArray

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.evaluate.agreement import Agreement, Edited, judge_trust, measure_agreement, measure_edits
from faceaug.data.image import encode_png
from faceaug.reports.shell import grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--judge", type=Path, required=True, help="what benchmarks/judge.py made")
    parser.add_argument("--model", default="faces-64", help="name or folder")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--edits", type=int, default=200, help="faces to edit; 0 leaves this out")
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="also draw the worst 16 faces (PNG)")
    options = parser.parse_args()

    judge, real = load_judge(options.judge), validation(FaceFolder(options.folder))
    source = SyntheticFaceSource(options.model, seed=options.seed, strength=options.strength, precision="bf16")
    trust = judge_trust(judge, real.pixels, real.labels)
    agreement = measure_agreement(
        source, judge, real.labels, trust, requests=options.requests, name="judge", seed=options.seed
    )
    edits = {
        name: measure_edits(source, judge, n=options.edits, guided=guided)
        for name, guided in (("edits", True), ("edits_unguided", False))
        if options.edits
    }
    if options.sheet is not None:
        options.sheet.write_bytes(encode_png(worst(source, judge, real.labels, options.seed)))
    result = {
        "figure": "attribute agreement by a judge, over its balanced accuracy on real validation faces",
        "model": source.config.name,
        "seed": options.seed,
        "strength": options.strength,
        "validation_faces": len(real),
        "judge_balanced_accuracy": round(float(np.nanmean(trust)), 4),
        **summed(agreement, edits),
    }
    print(json.dumps(result | facts("faceaug", "torch", "numpy")))


def summed(agreement: Agreement, edits: dict[str, tuple[Edited, ...]]) -> dict[str, Any]:
    found: dict[str, Any] = {"agreement": agreement.to_json()}
    for name, edited in edits.items():
        found[name] = {
            "changed": round(float(np.mean([e.changed for e in edited])), 4),
            "others_changed": round(float(np.mean([e.others for e in edited])), 4),
            "by_attribute": {e.attribute: [round(e.changed, 4), round(e.others, 4)] for e in edited},
        }
    return found


def worst(source: SyntheticFaceSource, judge: Opinion, rows: NDArray[np.int8], seed: int) -> NDArray[np.uint8]:
    asked = rows[np.random.Generator(np.random.Philox(seed)).integers(len(rows), size=1000)]
    faces = source.generate(len(asked), attributes=asked).numpy()
    hits = (judge(faces) == (asked > 0)).mean(axis=1)
    shown = [np.ascontiguousarray(faces[k].transpose(1, 2, 0)) for k in np.argsort(hits, kind="stable")[:16]]
    return grid(shown, columns=8, enlarge=2)


if __name__ == "__main__":
    main()

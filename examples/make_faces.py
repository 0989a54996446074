"""Make faces of nobody, a folder of them and one sheet. Run: python make_faces.py extra."""

from __future__ import annotations

import argparse
from pathlib import Path

from faceaug import SyntheticFaceSource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="a new folder; the sheet is written beside it")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", help="a bundled name, a model folder or a run folder")
    options = parser.parse_args()

    source = SyntheticFaceSource(options.model, seed=options.seed)
    report = source.save(options.out, options.n)
    sheet = options.out.with_name(f"{options.out.name}.png")
    source.save_grid(sheet, min(options.n, 100))
    print(f"{report.faces} faces of {report.model} in {options.out}, the first of them in {sheet}")


if __name__ == "__main__":
    main()

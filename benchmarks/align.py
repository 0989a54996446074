"""Finding faces in photos: how many, how well, how fast, beside other libraries. Prints one JSON line.

    PYTHONPATH=src python benchmarks/align.py TRUTH --part finder
    PYTHONPATH=src python benchmarks/align.py TRUTH --part peers --python facenet-pytorch=P1 --python autocrop=P2

``TRUTH`` is a folder of sets, see ``align_truth.py``. Each peer needs a Python in which it is installed
(facenet-pytorch asks for an old torch, autocrop for OpenCV 4). Pictures without faces come from scikit-image and
scikit-learn. ``--part sheets --out OUT`` writes contact sheets of false, missed and worst faces; they show people and
are not to be published.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
from machine import facts

PARTS = ("finder", "peers", "sheets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--part", choices=PARTS, default="finder")
    parser.add_argument("--n", type=int, default=1000, help="pictures of each kind at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=PATH")
    parser.add_argument("--out", type=Path, help="folder of --part sheets")
    parser.add_argument("--timed", action="store_true", help="also take times: only where nothing else runs")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.part == "finder":
        from align_finder import figures

        found = figures(options.truth, n=options.n, seed=options.seed, timed=options.timed)
    elif options.part == "peers":
        from align_peers import beside

        pythons = {"faceaug": sys.executable} | dict(pair.split("=", 1) for pair in options.python)
        found = beside(options.truth, pythons, n=options.n)
    else:
        from align_sheets import write_sheets

        found = write_sheets(options.truth, options.out, n=options.n, seed=options.seed)
    about = {"figure": f"faces in photos: {options.part}", "seed": options.seed, "n": options.n}
    print(json.dumps(about | {"found": found} | facts("faceaug", "opencv-python", "numpy")))


if __name__ == "__main__":
    main()

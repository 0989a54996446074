"""Past one machine, a part at a time. Prints one JSON line.

    python benchmarks/scale.py engine PHOTOS --tests kills head tasks rate offline

``engine`` runs faceaug's executor on Ray (``scale_engine.py``). Speed-up over several machines is not measured: all
nodes are on this one.
"""

from __future__ import annotations

import sys

import scale_engine

PARTS = {"engine": scale_engine.main}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in PARTS:
        sys.exit(f"expected one of {', '.join(PARTS)} as the first argument")
    PARTS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()

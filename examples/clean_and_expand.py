"""Clean a folder of faces and write a larger one. Run: python clean_and_expand.py celeba celeba-plus."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from faceaug import clean_folder, expand_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="faces, with or without CelebA's tables")
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--copies", type=int, default=1, help="augmented copies of each face")
    parser.add_argument("--synthetic", type=float, help="generated faces, as a share of the real ones")
    parser.add_argument("--size", type=int, help="side of every picture; 64 for generated faces among large photos")
    parser.add_argument("--balance", nargs="*", default=[], help="attributes that half of the faces should have")
    options = parser.parse_args()

    plan = clean_folder(options.folder, dry_run=True)
    print(f"{plan.renamed} names to repair, {len(plan.set_aside)} of {plan.original} pictures to set aside")
    clean_folder(options.folder)  # faceaug.undo_clean(folder) puts everything back

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="no table marks")  # a folder without partitions: all faces are used
        more = expand_dataset(
            options.folder, copies=options.copies, synthetic=options.synthetic, balance=options.balance,
            size=options.size, eager=False,
        )  # fmt: skip
    report = more.save(options.out)
    print(report.summary())


if __name__ == "__main__":
    main()

"""An expanded dataset as a folder: pictures, metadata.csv and dataset.json."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch

from faceaug.errors import ArgumentError, ImageError
from faceaug.files import check_free_space, explained, finish_output, prepare_output, write_bytes
from faceaug.image import Image8, encode_jpeg, encode_png, load_cv2
from faceaug.manifest import DATASET, ManifestWriter, Row
from faceaug.mix.balance import Share
from faceaug.mix.expand import ExpandedDataset, Item
from faceaug.mix.plan import SYNTHETIC
from faceaug.pages import text_table

FileFormat: TypeAlias = Literal["png", "jpg"]
FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
_FLUSH = 256  # items between two looks at the clock and the disk


@dataclass(frozen=True, slots=True)
class ExpandReport:
    """What ``save`` wrote.

    Attributes:
        out: the folder.
        sizes: (name, count): original, cleaned, augmented, synthetic, total; as written, unreadable ones left out.
        size: (height, width) of every picture.
        crop: how the real ones were cut.
        shares: of the balanced attributes, before and after.
        rejected: synthetic faces left out by the filter, by reason.
        unreadable: pictures that cannot be read and were left out with their copies, a line each.
        notes: what was odd about the folder.
        seconds: this took.
    """

    out: Path
    sizes: tuple[tuple[str, int], ...]
    size: tuple[int, int]
    crop: str
    shares: tuple[Share, ...]
    rejected: dict[str, int]
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "out": str(self.out), "sizes": dict(self.sizes), "size": list(self.size), "crop": self.crop,
            "shares": {s.attribute: {"wanted": s.wanted, "before": s.before, "after": s.after} for s in self.shares},
            "rejected": self.rejected, "unreadable": list(self.unreadable), "notes": list(self.notes),
            "seconds": round(self.seconds, 2),
        }  # fmt: skip

    def summary(self, *, verbose: bool = False) -> str:
        """What people read: the table of sizes, the shares reached, what was left out."""
        lines = [f"pictures of {self.size[0]}x{self.size[1]} pixels, crop {self.crop}", text_table(self.sizes)]
        lines += [
            f"{s.attribute}: {s.before:.1%} before, {s.after:.1%} now, wanted {s.wanted:.0%}" for s in self.shares
        ]
        if self.unreadable:
            lines.append(f"{len(self.unreadable)} pictures cannot be read and were left out with their copies:")
            lines += [f"  {line}" for line in (self.unreadable if verbose else self.unreadable[:3])]
        lines += [f"note: {note}" for note in (self.notes if verbose else self.notes[:3])]
        lines.append(f"{self.out}: written in {self.seconds:.1f} s")
        return "\n".join(lines)


def save_dataset(
    dataset: ExpandedDataset, out: Path, *, format: FileFormat = "png", on_progress: Callable[[int], None] | None = None
) -> ExpandReport:
    """Write every item of the current epoch as a file.

    The user's ``transform`` and ``target_transform`` are not applied: files hold what they would be given. A real
    picture that cannot be read is left out together with its copies and named in the report.

    Args:
        dataset: what ``expand_dataset`` returned.
        out: a new or empty folder outside the real one, or an unfinished run of the same, which is continued.
        format: "png" keeps every pixel; "jpg" is smaller.
        on_progress: called with the number of items done.

    Raises:
        RefusedError: ``out`` cannot be used, or the disk is full.
    """
    if format not in FORMATS:
        raise ArgumentError(f"format {format!r}: expected one of {', '.join(FORMATS)}")
    began = time.monotonic()
    height, width = dataset.frame.size
    check_free_space(out, len(dataset) * (4096 + height * width * (3 if format == "png" else 1)))
    run = _identity(dataset, format)
    prepare_output(out, inside=dataset.real.root, marker=DATASET, identity=run)
    with explained(out):
        with closing(ManifestWriter(out)) as manifest:
            _write_items(dataset, out, manifest, format, on_progress or (lambda _: None))
        left_out = [problem.split(": ", 1) for problem in manifest.problems]
        sizes = _written_sizes(dataset, [int(index) for index, _ in left_out])
        document = {"run": run, "sizes": dict(sizes), "rejected": dataset.rejected, "versions": _versions()}
        finish_output(out, marker=DATASET, document=document)
    return ExpandReport(
        out, sizes, dataset.frame.size, dataset.frame.crop, dataset.shares, dataset.rejected,
        tuple(dict.fromkeys(reason for _, reason in left_out)), dataset.real.notes, time.monotonic() - began,
    )  # fmt: skip


def _write_items(
    dataset: ExpandedDataset,
    out: Path,
    manifest: ManifestWriter,
    format: FileFormat,
    on_progress: Callable[[int], None],
) -> None:
    digits = max(6, len(str(len(dataset) - 1)))
    for index in range(manifest.done, len(dataset)):
        try:
            item = dataset.item(index)
        except ImageError as error:
            manifest.add(f"{index}: {error}")
        else:
            name = f"{index:0{digits}d}.{format}"  # sorted by name, the folder has the order of the dataset
            data = _encode(dataset, index, item, format)
            write_bytes(out / name, data)
            manifest.add(_row(dataset, index, item, name, hashlib.sha256(data).hexdigest()))
        if (index + 1) % _FLUSH == 0:
            manifest.flush()
            on_progress(index + 1)
    manifest.finish()
    on_progress(len(dataset))


def _encode(dataset: ExpandedDataset, index: int, item: Item, format: FileFormat) -> bytes:
    image: Image8 = item.image
    if format == "jpg":
        return encode_jpeg(image)
    if item.target["origin"] != SYNTHETIC:
        return encode_png(image)
    text = {
        "synthetic": "true", "model": dataset.model, "seed": str(dataset.model_seed),
        "key": str(dataset.synthetic_key(index)),
    }  # fmt: skip
    return encode_png(image, text=text)


def _row(dataset: ExpandedDataset, index: int, item: Item, name: str, digest: str) -> Row:
    if item.target["origin"] == SYNTHETIC:
        return Row(
            file_name=name, target=item.target, model=dataset.model, seed=dataset.model_seed,
            key=dataset.synthetic_key(index), sha256=digest,
        )  # fmt: skip
    row = int(dataset.plan.rows[index])
    return Row(
        file_name=name, target=item.target, source_file=dataset.real.name(row), seed=dataset.seed, key=index,
        operations=item.operations, sha256=digest,
    )  # fmt: skip


def _identity(dataset: ExpandedDataset, format: FileFormat) -> dict[str, Any]:
    """What must be equal for an unfinished folder to be continued."""
    names = [dataset.real.name(row) for row in dataset.plan.rows[: dataset.plan.real].tolist()]
    return {
        "command": "expand", "folder": str(dataset.real.root or ""), "format": format, "epoch": dataset.epoch,
        **dataset.made_with, "names_sha256": hashlib.sha256(json.dumps(names).encode()).hexdigest(),
        "rows_sha256": hashlib.sha256(dataset.plan.rows.tobytes()).hexdigest(),
    }  # fmt: skip


def _versions() -> dict[str, str]:
    # Of the modules, not of the packages: OpenCV comes in several that share one module.
    modules = {"numpy": np, "torch": torch, "opencv": load_cv2()}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {"faceaug": version("faceaug"), "python": platform.python_version()} | versions


def _written_sizes(dataset: ExpandedDataset, left_out: list[int]) -> tuple[tuple[str, int], ...]:
    real = sum(index < dataset.plan.real for index in left_out)
    missing = {"cleaned": real, "augmented": len(left_out) - real, "total": len(left_out)}
    return tuple((name, count - missing.get(name, 0)) for name, count in dataset.sizes())

"""The whole pipeline on generated faces: make a messy folder, clean it, expand it, load it, report it.

All faces come from the bundled model, so the demo needs only the wheel and no network.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import DataLoader

from faceaug.augment.preview import preview_sheet
from faceaug.clean import CleanReport, clean_folder
from faceaug.data.crop import words_of
from faceaug.data.folder import CELEBA_PICTURES, FaceFolder
from faceaug.data.image import Image8, encode_jpeg, encode_png, read_image
from faceaug.data.marks import DEMO, report_kinds
from faceaug.draws import permutation
from faceaug.errors import RefusedError, printable, some
from faceaug.mix import ExpandedDataset, ExpandReport, expand_dataset
from faceaug.presentation import Fact, Presentation
from faceaug.progress import Progress, Show, open_progress
from faceaug.reports.render import render_page
from faceaug.reports.sections import Block, Code, Faces, Facts, Heading, Link, Paragraph, Picture, Verbatim
from faceaug.reports.shell import grid, write_sheet
from faceaug.storage.durable import GroupSync
from faceaug.storage.files import explained, finish_output, remove_output, write_bytes
from faceaug.storage.locks import claimed_output
from faceaug.storage.outputs import write_output
from faceaug.storage.schema import parse_object
from faceaug.storage.walk import list_folder
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.weights import default_model

T = TypeVar("T")

DEFAULT_OUT = "faceaug-demo"
MARKER = "demo.json"
FACES = 240  # pictures in the messy folder
_SHOWN = 60  # pictures of it on the page
_LOST_DIGIT = 8  # names without their first digit
_COPIES = 12  # copies of files
_REENCODED = 6  # copies as PNG
# Every file, not hidden, of the two folders that it fills.
_NAMES = {
    "faces": re.compile(
        rf"list_eval_partition\.txt|{CELEBA_PICTURES}/"
        r"(\d{5,6}( \(1\))?\.jpg|\d{6}-copy\.png|cut off\.jpg|empty\.jpg|not a picture\.jpg)"
    ),
    "expanded": re.compile(r"\d{6}\.png|metadata\.csv|report\.html|dataset\.json"),
}


@dataclass(frozen=True, slots=True, repr=False)
class DemoReport(Presentation):
    """The result of the demo.

    Attributes:
        out: the output folder.
        sizes: (name, count): original, cleaned, augmented, synthetic, total.
        renamed: number of repaired names.
        set_aside: reason -> number of files set aside.
        batches: number of batches in one epoch of the DataLoader.
        seconds: step -> duration.
    """

    out: Path
    sizes: tuple[tuple[str, int], ...]
    renamed: int
    set_aside: dict[str, int]
    batches: int
    seconds: dict[str, float]

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [
            ("report", self.out / "report.html"),
            *self.sizes,
            ("names repaired", self.renamed),
            ("set aside", sum(self.set_aside.values())),
            ("batches", self.batches),
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "out": str(self.out),
            "report": str(self.out / "report.html"),
            "sizes": dict(self.sizes),
            "renamed": self.renamed,
            "set_aside": self.set_aside,
            "batches": self.batches,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }


def run_demo(
    out: Path | None = None, *, seed: int = 0, say: Callable[[str], None] = print, progress: Show = None
) -> DemoReport:
    """Run the demo and write ``report.html`` and contact sheets.

    Args:
        out: a new or empty folder, or an interrupted demo; None is ``faceaug-demo`` in the current folder, or the next
            free name.
        seed: seed of the faces and of the faults.
        say: prints a line of text.
        progress: see ``faceaug.clean.clean_folder``.

    Raises:
        RefusedError: ``out`` holds something else or cannot be written.
    """
    folder = out if out is not None else _free_name(Path(DEFAULT_OUT))
    claim = claimed_output(folder, marker=MARKER, identity={"command": "demo", "seed": seed}, purpose="demo")
    with claim as continued, explained(folder):
        if continued:
            _remove_parts(folder)
        return _Demo(folder, seed, say, open_progress(progress)).run()


def _remove_parts(folder: Path) -> None:
    """Remove what an interrupted demo made, unless somebody has put a file of another name there."""
    parts = {part: folder / part for part in _NAMES if (folder / part).is_dir()}
    for part, place in parts.items():
        strange = [file.name for file in list_folder(place).files if not _NAMES[part].fullmatch(file.name)]
        if strange:
            raise RefusedError(
                f"{printable(place)}: holds files that the interrupted demo did not make ({some(strange)}); move them "
                "elsewhere, or choose another folder"
            )
    for place in parts.values():
        remove_output(place)


class _Demo:
    def __init__(self, out: Path, seed: int, say: Callable[[str], None], progress: Progress) -> None:
        self.out = out
        self.seed = seed
        self.say = say
        self.progress = progress
        self.seconds: dict[str, float] = {}

    def run(self) -> DemoReport:
        """Run every step of the demo in turn."""
        mess, faces = self._timed("messy folder", self._make_mess)
        self.say(f"made {mess}: {len(faces)} generated faces with wrong names, copies and damaged files")
        cleaned = self._timed("clean", lambda: clean_folder(mess, progress=self.progress))
        self.say(cleaned.summary())
        # A different seed, so that these faces are new.
        dataset = expand_dataset(mess, copies=1, synthetic=0.25, seed=self.seed + 1, progress=self.progress)
        expanded = self._timed("expand", lambda: dataset.save(self.out / "expanded", progress=self.progress))
        self.say(expanded.summary())
        batches, shape = self._timed("one epoch", lambda: _one_epoch(dataset, self.progress))
        self.say(f"one epoch of a DataLoader: {batches} batches of {tuple(shape)}")
        self._timed("report", lambda: self._write_pages(mess, faces, cleaned, expanded))
        report = self._report(cleaned, expanded, batches)
        finish_output(self.out, marker=MARKER, document=report.to_json())
        self.say(f"open {self.out / 'report.html'}")
        return report

    def _make_mess(self) -> tuple[Path, list[Image8]]:
        """Make a CelebA-like folder, JPEG files with a table, with typical faults."""
        folder = self.out / "faces"
        pictures = folder / CELEBA_PICTURES
        pictures.mkdir(parents=True)
        faces = SyntheticFaceSource(seed=self.seed).pictures(0, FACES)
        encoded = [encode_jpeg(face) for face in faces]
        names = [f"{k:06d}.jpg" for k in range(1, FACES + 1)]
        put = partial(write_bytes, durable=False)
        table = "".join(f"{name} 0\n" for name in names)
        put(folder / "list_eval_partition.txt", table.encode())
        order = permutation(FACES, self.seed, slot="demo/mess").tolist()
        lost = set(order[:_LOST_DIGIT])
        for k, (name, data) in enumerate(zip(names, encoded, strict=True)):
            # The lost digit is always the leading zero: some names then match one number, some several.
            put(pictures / (name[1:] if k in lost else name), data)
        rest = order[_LOST_DIGIT:]
        for k in rest[:_COPIES]:
            put(pictures / names[k].replace(".jpg", " (1).jpg"), encoded[k])
        for k in rest[_COPIES : _COPIES + _REENCODED]:
            put(pictures / names[k].replace(".jpg", "-copy.png"), encode_png(read_image(pictures / names[k])))
        put(pictures / "cut off.jpg", encoded[0][: len(encoded[0]) // 2])
        put(pictures / "empty.jpg", b"")
        put(pictures / "not a picture.jpg", b"<html>404 not found</html>")
        with GroupSync(folder) as group:
            group.sync(path for path in (folder / "list_eval_partition.txt", *pictures.iterdir()))
        return folder, faces

    def _write_pages(self, mess: Path, faces: list[Image8], cleaned: CleanReport, expanded: ExpandReport) -> None:
        augmented, synthetic = self._expanded_faces()
        operations = preview_sheet(FaceFolder(mess), seed=self.seed)
        sheets: dict[str, Faces | Picture] = {
            "faces": Faces(faces[:_SHOWN], "The faces of the messy folder, all generated."),
            "operations": Picture(operations, "Every augmentation, stronger to the right."),
            "augmented": Faces(augmented, "Augmented copies in the expanded folder."),
            "synthetic": Faces(synthetic, "Synthetic faces added to it."),
        }
        for name, sheet in sheets.items():
            image = sheet.image if isinstance(sheet, Picture) else grid(sheet.images, columns=15)
            write_sheet(self.out / f"{name}.png", image, command=DEMO)
        blocks = [
            *_blocks(cleaned, expanded, faces[0].shape[0]),
            *sheets.values(),
            Heading("Time"),
            Facts(self._times(), measured=True),
        ]
        for name, command, page in (
            ("clean.html", "faceaug clean", cleaned.to_html(progress=self.progress)),
            ("report.html", DEMO, render_page(DEMO, blocks, made_by=DEMO)),
        ):
            write_output(self.out / name, page.encode("utf-8", "backslashreplace"), report_kinds(command, ()))

    def _times(self) -> list[tuple[str, str]]:
        return [(name, f"{value:.1f} s") for name, value in self.seconds.items()]

    def _expanded_faces(self) -> tuple[list[Image8], list[Image8]]:
        folder = FaceFolder(self.out / "expanded")
        origin = folder.annotations.origin
        chosen = [np.flatnonzero(origin == kind)[:45].tolist() for kind in (1, 2)]
        return [folder.read(i) for i in chosen[0]], [folder.read(i) for i in chosen[1]]

    def _report(self, cleaned: CleanReport, expanded: ExpandReport, batches: int) -> DemoReport:
        set_aside = {
            "unreadable": cleaned.unreadable,
            "same bytes": cleaned.byte_duplicates,
            "same pixels": cleaned.pixel_duplicates,
        }
        return DemoReport(self.out, _sizes(cleaned, expanded), cleaned.renamed, set_aside, batches, self.seconds)

    def _timed(self, name: str, step: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return step()
        finally:
            self.seconds[name] = time.monotonic() - began


def _blocks(cleaned: CleanReport, expanded: ExpandReport, side: int) -> list[Block]:
    """The text part of the report."""
    made_by = ("No face here belongs to a real person: the bundled model made them all, ", Code(str(default_model())))
    undo = (Link("Full report", "clean.html"), "; ", Code("faceaug undo faces"), " restores everything.")
    return [
        Paragraph((*made_by, f" ({words_of((side, side))} pixels).")),
        Heading("Sizes"),
        Facts(_sizes(cleaned, expanded)),
        Heading("What cleaning did"),
        Verbatim(cleaned.summary(verbose=True)),
        Paragraph(undo),
        Heading("Pictures"),
    ]


def _one_epoch(dataset: ExpandedDataset, progress: Progress) -> tuple[int, tuple[int, ...]]:
    """Load every batch once. Returns their number and the shape of the first."""
    loader = DataLoader(dataset, batch_size=64, num_workers=2, sampler=dataset.sampler())
    with progress.phase("loading", len(loader), "batches") as phase:
        shapes = [tuple(images.shape) for images, _ in phase.over(loader)]
    return len(shapes), shapes[0]


def _sizes(cleaned: CleanReport, expanded: ExpandReport) -> tuple[tuple[str, int], ...]:
    return (("original", cleaned.original), ("cleaned", cleaned.cleaned), *expanded.sizes[2:])


def _free_name(path: Path) -> Path:
    """The path, or the next one with a number, that is new, empty or holds an interrupted demo."""
    number = 1
    free = path
    while not _is_free(free):
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _is_free(path: Path) -> bool:
    if not path.exists():
        return True
    if not path.is_dir():
        return False
    marker = path / MARKER
    with suppress(OSError, ValueError):  # unreadable or not our marker: not an interrupted demo
        return not parse_object(marker.read_bytes()).get("finished") if marker.is_file() else not any(path.iterdir())
    return False

"""Saves an expanded dataset as a folder: pictures or shards, metadata.csv, dataset.json and a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import SYNTHETIC
from faceaug.data.cleaned_state import cleaned_pictures
from faceaug.data.crop import words_of
from faceaug.data.manifest import DATASET, LEDGER, is_plain_text, write_metadata
from faceaug.data.marks import report_kinds
from faceaug.data.shards import SHARD, shard_name, write_card
from faceaug.errors import ArgumentError
from faceaug.executor import Executor, open_executor
from faceaug.mix.blocks import FORMATS, Block, FileFormat, Generated, Style, write_block
from faceaug.mix.document import run_document, run_identity
from faceaug.mix.mixture import Mixture
from faceaug.mix.page import expansion_page
from faceaug.mix.provenance import provenance_notes
from faceaug.mix.report import Appendix, ExpandReport
from faceaug.mix.written import FRAMINGS, Written, read_written
from faceaug.progress import Progress, Show, open_progress
from faceaug.storage.files import check_output_space, explained, finish_output
from faceaug.storage.ledger import Ledger
from faceaug.storage.locks import claimed_output
from faceaug.storage.outputs import write_output
from faceaug.storage.unfinished import BEGUN, Begun

REPORT = "report.html"
_BLOCK = 64  # real pictures, or synthetic faces, per task
_FEW = 400  # up to this many, writing items takes less time than starting processes


def save_dataset(
    dataset: Mixture,
    out: Path,
    *,
    format: FileFormat = "png",
    workers: int | None = None,
    progress: Show = None,
    appendix: Callable[[Mixture, Progress], Appendix] | None = None,
) -> ExpandReport:
    """Write every item of the current epoch to a file.

    Files hold the input of ``transform`` and ``target_transform``, which are not applied. A real picture that cannot be
    read is left out together with its copies and named in the report. The bytes of the folder depend neither on the
    number of processes nor on interruptions.

    Args:
        dataset: result of ``expand_dataset``.
        out: a new or empty folder outside the source folder, or an unfinished folder of the same run, which is
            continued.
        format: "png" is lossless; "jpg" is smaller; "webdataset" writes tar shards of 1,000 items, each a PNG and a
            JSON file with its annotations.
        workers: processes that write; by default one per processor, or none for a few items. This process alone writes
            datasets that are not folders, and recipes with third-party transforms.
        progress: see ``expand_dataset``.
        appendix: computes further findings for the report, such as ``faceaug.commands.expand.audit``.

    Returns:
        The report, also written as ``report.html``.

    Raises:
        ArgumentError: an unknown format.
        RefusedError: ``out`` cannot be used, or the disk is full.
    """
    if format not in FORMATS:
        raise ArgumentError(f"format {format!r}: expected one of {', '.join(FORMATS)}")
    began = time.monotonic()
    shown = open_progress(progress)
    check_output_space(out, round(len(dataset) * (4096 + _area(dataset) * (1 if format == "jpg" else 3))))
    run = run_identity(dataset, format)
    folders = [f"{name}/0.{format}" for name in dataset.real.classes] if _has_folders(dataset, format) else []
    claim = claimed_output(out, inside=dataset.real.root, marker=DATASET, identity=run, purpose="expand", names=folders)
    with claim, explained(out):
        with (
            closing(Ledger(out / LEDGER, read_written)) as ledger,
            open_executor(_workers(dataset, workers), chunk=1) as executor,
        ):
            saver = _Saver(dataset, out, format, ledger, executor, shown)
            if format != "webdataset":
                write_metadata(out, (), named=saver.style.named, requested=saver.style.requested)
            saver.write()
        found = appendix(dataset, shown) if appendix else None
        report = _report(dataset, out, ledger.entries, saver.files, began, found)
        if format == "webdataset":
            write_card(out)
        page = expansion_page(dataset, report).encode("utf-8", "backslashreplace")
        write_output(out / REPORT, page, report_kinds("faceaug expand", ()))
        ledger.remove()
        saver.style.begun.remove()
        finish_output(out, marker=DATASET, document=run_document(dataset, report, run))
    return report


class _Saver:
    """Writes the blocks of a dataset in order; finished ones are taken from the ledger."""

    def __init__(
        self,
        dataset: Mixture,
        out: Path,
        format: FileFormat,
        ledger: Ledger[Written],
        executor: Executor,
        progress: Progress,
    ) -> None:
        self._dataset = dataset
        self._out = out
        self._ledger = ledger
        self._executor = executor
        self._progress = progress
        self._shards = format == "webdataset"
        real = dataset.real
        generators = dataset.generators
        asked = len(dataset.plan.patterns) > 0
        requested = generators.requested(dataset.wanted) if generators is not None and asked else ()
        self.style = Style(
            out=str(out),
            format=format,
            digits=max(6, len(str(len(dataset) - 1))),
            frame=dataset.frame,
            recipe=dataset.recipe,
            seed=dataset.seed,
            epoch=dataset.epoch,
            classes=real.classes,
            named=format != "webdataset" and bool(real.classes) and all(map(is_plain_text, real.classes)),
            folders=_has_folders(dataset, format),
            requested=requested,
            side=generators.size if generators is not None and dataset.filtered else 0,
            begun=Begun(out / BEGUN),
        )
        self.files = 0

    def write(self) -> None:
        """Write all unfinished blocks, and the table; shards contain their annotations themselves."""
        plan = self._dataset.plan
        self._make_folders()
        left = self._run(list(self._groups()), self._real_block, len(self._ledger.entries), "pictures")
        if plan.synthetic:
            self._dataset.make_faces(hashes=self._hashes() if plan.real else None, progress=self._progress)
            start = len(plan.rows)
            step = SHARD if self._shards else _BLOCK
            groups = [np.arange(k, min(k + step, len(self._dataset))) for k in range(start, len(self._dataset), step)]
            self._run(groups, self._synthetic_block, left, "synthetic faces")
        written = sum(not item.problem for item in self._ledger.entries)
        shards = -(-len(plan.rows) // SHARD) + -(-plan.synthetic // SHARD)
        self.files = shards if self._shards else written
        self._ledger.close()
        if not self._shards:
            lines = (item.line for item in sorted(self._ledger.entries, key=lambda item: item.index))
            write_metadata(self._out, lines, named=self.style.named, requested=self.style.requested)

    def _hashes(self) -> dict[int, int] | None:
        """Hashes of the real pictures by row, computed while writing them; None if any is missing."""
        plan = self._dataset.plan
        real = [item for item in self._ledger.entries if item.index < plan.real and not item.problem]
        hashes = {int(plan.rows[item.index]): item.hashes[0] for item in real if item.hashes}
        return hashes if len(hashes) == len(real) else None

    def _run(
        self, groups: Sequence[NDArray[np.int64]], make: Callable[[NDArray[np.int64]], Block], done: int, unit: str
    ) -> int:
        """Write the blocks of groups of items except the first ``done`` items; returns the unused part of ``done``."""
        start = 0
        total = sum(map(len, groups))
        position = len(self._ledger.entries) - done
        damaged: list[tuple[int, NDArray[np.int64]]] = []
        while start < len(groups) and len(groups[start]) <= done:
            if not self._ledger.damaged.isdisjoint(range(position, position + len(groups[start]))):
                damaged.append((position, groups[start]))
            done -= len(groups[start])
            position += len(groups[start])
            start += 1
        self._repair(damaged, make, unit)
        if start == len(groups):
            return done
        if done:  # items of an interrupted block
            self._ledger.truncate(len(self._ledger.entries) - done)
        earlier = sum(map(len, groups[:start]))
        groups = groups[start:]
        with self._progress.phase("writing", total, unit, start=earlier) as phase:
            for group, written in zip(groups, self._executor.map(write_block, map(make, groups)), strict=True):
                self._ledger.add(written)
                phase.advance(len(group))
        return 0

    def _repair(
        self, damaged: Sequence[tuple[int, NDArray[np.int64]]], make: Callable[[NDArray[np.int64]], Block], unit: str
    ) -> None:
        """Write blocks again whose files are missing or changed since an earlier run."""
        if not damaged:
            return
        blocks = self._executor.map(write_block, (make(group) for _, group in damaged))
        with self._progress.phase("writing again", sum(len(group) for _, group in damaged), unit) as phase:
            for (position, group), written in zip(damaged, blocks, strict=True):
                self._ledger.replace(position, written)
                phase.advance(len(group))

    def _groups(self) -> Iterator[NDArray[np.int64]]:
        """Groups of real and augmented items: pictures with all their copies, or consecutive items of a shard."""
        rows = self._dataset.plan.rows
        if self._shards:
            yield from np.split(np.arange(len(rows)), range(SHARD, len(rows), SHARD)) if len(rows) else ()
            return
        order = np.argsort(rows, kind="stable")
        starts = np.flatnonzero(np.diff(rows[order], prepend=-1))[::_BLOCK]
        yield from np.split(order, starts[1:]) if len(order) else ()

    def _real_block(self, items: NDArray[np.int64]) -> Block:
        plan = self._dataset.plan
        real = self._dataset.real
        rows = np.unique(plan.rows[items])
        places = np.searchsorted(rows, plan.rows[items])
        known = real.annotations.take(rows)
        origins = (plan.origin(index) for index in items.tolist())
        lines = zip(items.tolist(), origins, places.tolist(), strict=True)
        return Block(
            self.style,
            tuple(lines),
            tuple(plan.weights[items].tolist()),
            tuple(rows.tolist()),
            real.pictures(rows.tolist()),
            known,
            None,
            self._shard(items),
        )

    def _synthetic_block(self, items: NDArray[np.int64]) -> Block:
        faces = self._dataset.synthetic
        real = self._dataset.real
        first = int(items[0]) - len(self._dataset.plan.rows)
        part = slice(first, first + len(items))
        generated = Generated(
            path=str(faces.path),
            shape=faces.shape,
            first=first,
            keys=faces.keys[part],
            attributes=faces.attributes[part],
            asked=None if faces.asked is None else faces.asked[part],
            label=faces.labels[part],
            models=faces.models[part],
        )
        lines = tuple((index, SYNTHETIC, place) for place, index in enumerate(items.tolist()))
        nothing = real.annotations.take(slice(0))
        weights = tuple(self._dataset.weights[items].tolist())
        return Block(self.style, lines, weights, (), real.pictures([]), nothing, generated, self._shard(items))

    def _shard(self, items: NDArray[np.int64]) -> str:
        if not self._shards:
            return ""
        real = len(self._dataset.plan.rows)
        first = int(items[0])
        number = first // SHARD if first < real else -(-real // SHARD) + (first - real) // SHARD
        return shard_name(number)

    def _make_folders(self) -> None:
        if self.style.folders:
            for name in self.style.classes:
                (self._out / name).mkdir(exist_ok=True)


def _has_folders(dataset: Mixture, format: FileFormat) -> bool:
    """Whether each class gets its own folder, as in the source folder."""
    return dataset.real.in_class_folders and format != "webdataset"


def _workers(dataset: Mixture, workers: int | None) -> int | None:
    """Number of processes: 1 if only this one can do the work or items are few, else ``workers``."""
    recipe = "" if dataset.recipe is None else dataset.recipe.to_json()
    if not dataset.real.are_files or '"torchvision"' in recipe:
        return 1
    return 1 if workers is None and len(dataset) <= _FEW else workers


def _report(
    dataset: Mixture,
    out: Path,
    items: Sequence[Written],
    files: int,
    began: float,
    appendix: Appendix | None,
) -> ExpandReport:
    left_out = sorted((item.index, item.problem) for item in items if item.problem)
    repeated = _repeated(dataset, items)
    sizes = _written_sizes(dataset, [index for index, _ in left_out])
    looked_at = 0
    model = ""
    faces = None
    if dataset.generators is not None:
        side = dataset.generators.size
        faces = dataset.synthetic
        looked_at = faces.made
        model = f"{dataset.model}, {words_of((side, side))}"
    root = dataset.real.root
    cleaned = None if root is None or (root / DATASET).is_file() else cleaned_pictures(root)
    notes = provenance_notes(root, len(dataset.real), repeated, cleaned=cleaned)
    return ExpandReport(
        out=out,
        sizes=sizes,
        size=dataset.frame.size,
        crop=dataset.frame.crop,
        framed=_framed(dataset, items),
        model=model,
        no_synthetic=dataset.no_synthetic,
        shares=dataset.shares_without([index for index, _ in left_out]),
        rejected=dataset.rejected,
        looked_at=looked_at,
        files=files,
        unreadable=tuple(dict.fromkeys(reason for _, reason in left_out)),
        notes=notes + dataset.real.notes,
        seconds=time.monotonic() - began,
        appendix=appendix,
        generator=dataset.model,
        folder=root,
        cleaned=None if root is None else cleaned is not None,
        repeated=repeated,
        registration=None if faces is None else faces.registration,
    )


def _area(dataset: Mixture) -> float:
    """Approximate number of pixels per picture."""
    size = dataset.frame.size
    return size[0] * size[1] if size else dataset.real.mean_area(dataset.plan.used.tolist())


def _framed(dataset: Mixture, items: Sequence[Written]) -> dict[str, tuple[str, ...]]:
    """Names of the real pictures that were cropped, padded or resized."""
    found: dict[str, list[str]] = {name: [] for name in FRAMINGS}
    for item in sorted((item for item in items if item.framed), key=lambda item: item.index):
        picture = dataset.real.name(int(dataset.plan.rows[item.index]))
        for name in FRAMINGS:
            if name[0] in item.framed:
                found[name].append(picture)
    return {name: tuple(names) for name, names in found.items()}


def _repeated(dataset: Mixture, items: Sequence[Written]) -> tuple[tuple[str, str], ...]:
    """Real pictures identical to another after cropping and resizing: (name, name of the first)."""
    first: dict[str, int] = {}
    found = []
    for item in sorted((item for item in items if item.digest), key=lambda item: item.index):
        before = first.setdefault(item.digest, item.index)
        if before != item.index:
            found.append((item.index, before))
    rows = dataset.plan.rows
    name = dataset.real.name
    return tuple((name(int(rows[one])), name(int(rows[other]))) for one, other in found)


def _written_sizes(dataset: Mixture, left_out: list[int]) -> tuple[tuple[str, int], ...]:
    real = sum(index < dataset.plan.real for index in left_out)
    missing = {"real": real, "augmented": len(left_out) - real, "total": len(left_out)}
    return tuple((name, count - missing.get(name, 0)) for name, count in dataset.sizes())

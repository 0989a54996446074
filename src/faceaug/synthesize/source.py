"""SyntheticFaceSource: faces of nobody, as a dataset and as files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceaug.data.annotations import ATTRIBUTES, attribute_index, unknown
from faceaug.draws import check_seed, stream
from faceaug.errors import ArgumentError
from faceaug.storage.files import explained, write_bytes
from faceaug.data.folder import Target, make_target
from faceaug.data.image import Image8, encode_png
from faceaug.reports.shell import grid
from faceaug.synthesize.asking import UNASKED, Unasked, Wish, check_rows, check_strength, parse_attributes
from faceaug.synthesize.classifier import load_classifier
from faceaug.synthesize.convert import export_folder
from faceaug.synthesize.editing import Guide
from faceaug.synthesize.hub import fetch_model
from faceaug.synthesize.render import BLOCK, Renderer, RenderPrecision, between, to_uint8, truncate
from faceaug.synthesize.saving import FILE_FORMATS, FileFormat, SynthesisReport, encode_face, save_faces
from faceaug.synthesize.selection import Chooser, SelectionReport
from faceaug.synthesize.weights import Model, ModelConfig, default_model, load_model

__all__ = [
    "BLOCK", "FILE_FORMATS", "SYNTHETIC", "FileFormat", "SynthesisReport", "SyntheticFaceSource", "synthetic_target",
    "to_uint8",
]  # fmt: skip

SYNTHETIC = 2  # in target["origin"]
Asked = Mapping[str, int] | NDArray[np.integer[Any]]


class SyntheticFaceSource:
    """Faces from a pretrained generator: a map-style dataset of ``n`` faces.

    Face k depends on (model, seed, k) and on what it is asked to have alone: not on how many are asked for, batch
    size, workers, threads or order.

    Args:
        model: a bundled name (``faceaug info`` lists them), a model folder, a trainer's run folder or a loaded
            ``Model``; None is "dcgan-32", or the model that obeys attributes where attributes are asked for.
        n: length of the dataset; ``generate`` and ``save`` may go beyond it.
        seed: 0..2**63-1.
        attributes: wanted attributes, {"Smiling": 1, "Male": -1}. Of a model that takes none, those faces of the stream
            are chosen in which the bundled classifier sees them; ``selection`` tells what that cost.
        strength: how strongly the wanted attributes are asked for: 1 is as taught, less is a hint, more exaggerates.
        unasked: what such a model is told of the other attributes. "typical": those of a real face that has the wanted
            ones, drawn anew for every face, so that the faces are as various as real ones; "kept": those that face k
            has where nothing is asked, so that it changes in what is asked alone, fitting or not; "free": nothing.
        device: where to compute. None is the CPU, whose faces are the reference; another device may differ from it
            by a grey level.
        truncation: squeeze the latent numbers into -truncation..truncation: more ordinary faces, less diverse. None
            leaves them as they are. See ``faceaug.synthesize.render.truncate``.
        precision: "fp32", the reference, or "bf16": three to four times as fast on processors with matrix
            instructions, with pixels that differ by a grey level or two.
        choose: False refuses attributes for a model that takes none.

    Raises:
        ArgumentError: unknown model or attribute, or n < 1.
        WeightsError: the model is damaged.
    """

    def __init__(
        self,
        model: str | Path | Model | None = None,
        *,
        n: int = 10_000,
        seed: int = 0,
        attributes: Mapping[str, int] | None = None,
        strength: float = 1.0,
        unasked: Unasked = "typical",
        device: str | torch.device | None = None,
        truncation: float | None = None,
        precision: RenderPrecision = "fp32",
        choose: bool = True,
    ) -> None:
        if n < 1:
            raise ArgumentError(f"n {n}: expected at least 1 face")
        if unasked not in UNASKED:
            raise ArgumentError(f"unasked {unasked!r}: expected one of {', '.join(UNASKED)}")
        loaded = model if isinstance(model, Model) else load_model(model or default_model(attributes))
        self.config = loaded.config
        self.seed = check_seed(seed)
        self.device = torch.device("cpu" if device is None else device)
        chooses = choose and not self.config.attributes
        self._chooser = Chooser(self._stream, self.config) if chooses else None
        self._check_attributes(attributes)
        self.asked = {name: int(value) for name, value in (attributes or {}).items() if value}
        self.strength, self.unasked = check_strength(strength), unasked
        self._n = n
        self.truncation, self.precision = truncation, precision
        self._model = loaded
        self._wish = self._wish_for(attributes)
        self._renderer = Renderer(loaded.generator, precision, self.device)
        if truncation is not None:
            truncate(torch.zeros(1, 1), truncation, self.config.latent)  # says now what is wrong with it
        self._guide: Guide | None = None  # made at the first edit
        self._block: tuple[int, Tensor] | None = None  # the last one computed: neighbours are usually asked together

    @property
    def chooses(self) -> bool:
        """Whether, of a model that takes no attributes, faces are chosen from the stream where some are asked for."""
        return self._chooser is not None

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, k: int) -> tuple[Tensor, Target]:
        """Face k: (uint8 (3, H, W), target)."""
        face = range(self._n)[k]
        return self._face_block(face // BLOCK)[face % BLOCK].clone(), self.target(face)

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Target]]:
        """Many faces, each block computed once; torch's DataLoader asks like this."""
        found: dict[int, tuple[Tensor, Target]] = {k: self[k] for k in sorted(set(indices))}
        return [found[k] for k in indices]

    def __repr__(self) -> str:
        return f"SyntheticFaceSource({self.config.name!r}, n={self._n}, seed={self.seed})"

    def generate(self, n: int, attributes: Asked | None = None, start: int = 0) -> Tensor:
        """Faces ``start`` to ``start + n - 1``: uint8 (n, 3, H, W) on the CPU.

        Args:
            n: how many.
            attributes: what they should have, in place of the source's: by name for all of them, or as rows of numbers
                -1, 0 and 1, (n, 40) in the order of ``faceaug.data.annotations.ATTRIBUTES``. Rows are taken as they are:
                where they hold 0 the generator is told nothing.
            start: the first.
        """
        return torch.cat(list(self.blocks(n, start=start, attributes=attributes)))

    def blocks(self, n: int, *, start: int = 0, attributes: Asked | None = None) -> Iterator[Tensor]:
        """The same faces, in pieces: uint8 (m, 3, H, W), m <= 64. For more faces than memory holds."""
        if n < 1 or start < 0:
            raise ArgumentError(f"n {n}, start {start}: expected n >= 1 and start >= 0")
        rows = self._checked(attributes, n)
        return self._pieces(start, start + n, attributes if rows is None else rows)

    def _pieces(self, start: int, stop: int, attributes: Asked | None) -> Iterator[Tensor]:
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            first = block * BLOCK
            low, high = max(start, first), min(stop, first + BLOCK)
            if isinstance(attributes, np.ndarray):  # the other places of the block stay empty: nobody sees those faces
                rows = np.zeros((BLOCK, len(ATTRIBUTES)), np.int8)
                rows[low - first : high - first] = attributes[low - start : high - start]
                faces = self._renderer.block(self.latents(BLOCK, start=first, attributes=rows))
            elif attributes is not None:
                faces = self._renderer.block(self.latents(BLOCK, start=first, attributes=attributes))
            else:
                faces = self._face_block(block).clone()
            yield faces[low - first : high - first]

    def latents(self, n: int, *, start: int = 0, attributes: Asked | None = None) -> Tensor:
        """What faces ``start`` to ``start + n - 1`` are made from: float32 (n, z_size), truncated if asked for.

        For a model that obeys attributes, (n, z_size + 40): the latent vector is followed by what it is told of each
        attribute, -1 no, 1 yes, 0 nothing. So ``render`` makes the same faces, and numbers can be changed in between.
        ``attributes`` as in ``generate``.
        """
        rows = self._checked(attributes, n)
        wish = self._wish_for(attributes) if isinstance(attributes, Mapping) else self._wish
        told = wish.rows(start, n) if rows is None else rows
        if not self.config.attributes:
            return self._noise(range(start, start + n) if self._chooser is None else self._chooser.numbers(told, start))
        z = self._noise(range(start, start + n))
        exaggerated = np.ones(len(ATTRIBUTES), np.bool_) if rows is not None else wish.asked != 0
        levels = told.astype(np.float32) * np.where(exaggerated, self.strength, 1.0).astype(np.float32)
        return torch.cat([z, torch.from_numpy(levels)], 1)

    @property
    def selection(self) -> tuple[SelectionReport, ...]:
        """What choosing faces by their attributes has cost so far, for each wish; nothing if the model obeys them."""
        return () if self._chooser is None else self._chooser.reports

    def _noise(self, numbers: Iterable[int]) -> Tensor:
        """The latent vectors of some faces of the stream: float32 (n, z_size)."""
        shape = (self.config.z_size,)
        draws = [stream(self.seed, index=k, slot="face/latent") for k in numbers]
        if self.config.latent == "uniform":
            found = np.stack([draw.random(shape, "f4") * 2 - 1 for draw in draws])
        else:
            found = np.stack([draw.standard_normal(shape, "f4") for draw in draws])
        z = torch.from_numpy(found)
        return z if self.truncation is None else truncate(z, self.truncation, self.config.latent)

    def _stream(self, n: int, start: int) -> Tensor:
        """Faces as they come, whatever is asked: uint8 (n, 3, H, W)."""
        return self.render(self._noise(range(start, start + n)))

    def attribute_rows(self, n: int, *, start: int = 0) -> NDArray[np.int8]:
        """What faces ``start`` to ``start + n - 1`` are told to have: int8 (n, 40), 0 nothing; asked for or typical.

        Of a model that takes no attributes, what the faces were chosen for.
        """
        return self._wish.rows(start, n)

    def target(self, k: int) -> Target:
        """The target of face k: its attributes are those it was told to have."""
        return synthetic_target(k, self.attribute_rows(1, start=k)[0])

    def render(self, latents: Tensor) -> Tensor:
        """Faces of any latents, as ``latents`` gives them: float (n, width) -> uint8 (n, 3, H, W) on the CPU."""
        checked = self._checked_latents(latents)
        return torch.cat([self._renderer.block(part) for part in torch.split(checked, BLOCK)])

    def _checked_latents(self, latents: Tensor) -> Tensor:
        width = self.config.z_size + len(self.config.attributes)
        if latents.ndim != 2 or latents.shape[1] != width or not len(latents):
            raise ArgumentError(f"latents of shape {tuple(latents.shape)}: expected (n, {width}), n >= 1")
        return latents.float().cpu()

    def edit(
        self, faces: int | Sequence[int] | Tensor, attribute: str, value: int | None = None, *, guided: bool = True
    ) -> Tensor:
        """The same faces with one attribute changed and the rest kept: uint8 (n, 3, H, W).

        Args:
            faces: the number of a face of the stream, several, or latents as ``latents`` gives them.
            attribute: its name.
            value: 1 with, -1 without, 0 as it happens; None is the opposite of what each face is told (and 1 where it
                is told nothing).
            guided: the bundled classifier looks until it sees the change and the rest as before, see
                ``faceaug.synthesize.editing``; a tenth of a second and more for each face. False tells the generator
                of the new value and takes what comes, as does ``value=0``.

        Raises:
            ArgumentError: an unknown attribute, or the model takes none.
        """
        return self.render(self.edited_latents(faces, attribute, value, guided=guided))

    def edited_latents(
        self, faces: int | Sequence[int] | Tensor, attribute: str, value: int | None = None, *, guided: bool = True
    ) -> Tensor:
        """What ``edit`` makes its faces from, float32 (n, width) as ``latents`` gives them: to edit them further."""
        if not self.config.attributes:
            raise ArgumentError(f"model {self.config.name} takes no attributes; edit needs a model that does")
        self._check_attributes({attribute: 1 if value is None else value})
        if isinstance(faces, Tensor):
            latents = self._checked_latents(faces)
        else:
            numbers = [faces] if isinstance(faces, int) else list(faces)
            latents = torch.cat([self.latents(1, start=k) for k in numbers])
        index = attribute_index(attribute)
        changed, column = latents.clone(), self.config.z_size + index
        told = changed[:, column]
        wanted = torch.where(told > 0, -1.0, 1.0) if value is None else torch.full_like(told, float(value))
        changed[:, column] = wanted * self.strength
        if not guided or value == 0:
            return changed
        if self._guide is None:
            classifier = load_classifier(device=self.device)
            self._guide = Guide(self._model.generator, classifier, fast=self.precision == "bf16")
        return self._guide(latents, changed, index)

    def interpolate(self, first: int, second: int, steps: int = 9) -> Tensor:
        """The way from face ``first`` to face ``second`` of the stream, both included: uint8 (steps, 3, H, W)."""
        if steps < 2 or min(first, second) < 0:
            raise ArgumentError(f"faces {first} and {second}, steps {steps}: expected faces from 0 and 2 steps or more")
        a, b = self.latents(1, start=first)[0], self.latents(1, start=second)[0]
        return self.render(between(a, b, steps, self.config.latent, z_size=self.config.z_size))

    @classmethod
    def from_pretrained(
        cls, model: str | Path, *, revision: str | None = None, download: bool = False, n: int = 10_000, seed: int = 0,
        attributes: Mapping[str, int] | None = None, strength: float = 1.0, unasked: Unasked = "typical",
        device: str | torch.device | None = None, truncation: float | None = None, precision: RenderPrecision = "fp32",
    ) -> SyntheticFaceSource:  # fmt: skip
        """Open a model by name, by folder or by its id on the Hugging Face hub ("owner/name").

        Args:
            model: bundled names and folders are tried first. A hub id is looked up in the local cache.
            revision: branch, tag or commit on the hub.
            download: whether the hub may be asked for what the cache does not have. Nothing else here uses a network.
            n: see the class, as for the others.
            seed: see the class.
            attributes: see the class.
            strength: see the class.
            unasked: see the class.
            device: see the class.
            truncation: see the class.
            precision: see the class.

        Raises:
            ArgumentError: nothing of that name; the message says how to download.
            WeightsError: the model is damaged.
        """
        found = fetch_model(model, revision=revision, download=download)
        return cls(
            found, n=n, seed=seed, attributes=attributes, strength=strength, unasked=unasked, device=device,
            truncation=truncation, precision=precision,
        )  # fmt: skip

    def save_pretrained(self, folder: str | Path) -> ModelConfig:
        """Write the model as a folder that ``from_pretrained`` and the Hugging Face hub take: config, weights, card."""
        return export_folder(self._model, folder)

    def save(
        self,
        out: Path | str,
        n: int | None = None,
        *,
        format: FileFormat = "png",
        on_progress: Callable[[int], None] | None = None,
    ) -> SynthesisReport:
        """Write faces 0 to n-1 as files with ``metadata.csv`` and ``dataset.json``.

        Args:
            out: a new or empty folder, or one holding an unfinished run of the same, which is continued.
            n: how many; the length of the dataset by default.
            format: "png" with text chunks that say synthetic, model and seed; "jpg"; or "webdataset", tar shards of
                1,000 faces with a JSON beside each.
            on_progress: called with the number of faces done, every block.

        Raises:
            RefusedError: ``out`` holds something else, cannot be written, or the disk is full.
        """
        count = self._n if n is None else n
        return save_faces(self, Path(out), count, format=format, on_progress=on_progress or (lambda _: None))

    def save_grid(self, path: Path | str, n: int = 100, *, columns: int = 10) -> None:
        """Write faces 0 to n-1 side by side, twice enlarged, as one PNG."""
        with explained(Path(path)):
            write_bytes(Path(path), encode_png(grid(self.pictures(0, n), columns=min(columns, n), enlarge=2)))

    def encode(self, face: Image8, k: int, ending: str) -> bytes:
        """Face k, uint8 (H, W, 3), as the bytes of a PNG that says what it is, or of a JPEG."""
        return encode_face(self, face, k, ending)

    def provenance(self) -> dict[str, Any]:
        """What, beside seed and number, a face depends on: plain values."""
        found: dict[str, Any] = {"model": self.config.name, "model_sha256": self.config.sha256}
        if self.truncation is not None:
            found["truncation"] = self.truncation
        if self.config.attributes:
            found |= {"attributes": self.asked, "strength": self.strength, "unasked": self.unasked}
        elif self.asked and self._chooser is not None:
            found |= {"attributes": self.asked} | self._chooser.provenance()
        return found if self.precision == "fp32" else found | {"precision": self.precision}

    def pictures(self, start: int, n: int) -> list[Image8]:
        """Faces ``start`` to ``start + n - 1`` as pictures: uint8 (H, W, 3) each."""
        return list(self.generate(n, start=start).permute(0, 2, 3, 1).contiguous().numpy())

    def _face_block(self, block: int) -> Tensor:
        if self._block is None or self._block[0] != block:
            self._block = (block, self._renderer.block(self.latents(BLOCK, start=block * BLOCK)))
        return self._block[1]

    def _wish_for(self, attributes: Mapping[str, int] | None) -> Wish:
        typical = self._model.rows if self.config.attributes and self.unasked != "free" else None
        return Wish(parse_attributes(attributes), typical, self.seed, kept=self.unasked == "kept")

    def _checked(self, attributes: Asked | None, n: int) -> NDArray[np.int8] | None:
        """Rows of attributes as they are; None for names, which are only checked, and for nothing."""
        if attributes is None or isinstance(attributes, Mapping):
            if attributes is not None:
                self._check_attributes(attributes)
            return None
        rows = check_rows(attributes, n)
        if rows.any():
            self._check_attributes({ATTRIBUTES[0]: 1})
        return rows

    def _check_attributes(self, attributes: Mapping[str, int] | None) -> None:
        parse_attributes(attributes)
        if attributes and not self.config.attributes and self._chooser is None:
            raise ArgumentError(f"model {self.config.name} takes no attributes; ask for faces without them")


def synthetic_target(index: int, attributes: NDArray[np.int8] | None = None) -> Target:
    """The target of a synthetic face: origin 2, training partition (never validation or test), else unknown.

    Args:
        index: its number.
        attributes: int8 (40,), what its generator was told, if it obeys attributes.
    """
    nobody = unknown(1)
    nobody.origin[0], nobody.partition[0] = SYNTHETIC, 0
    if attributes is not None:
        nobody.attributes[0] = attributes
    return make_target(nobody, 0) | {"index": index}

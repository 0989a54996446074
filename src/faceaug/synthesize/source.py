"""SyntheticFaceSource: synthetic faces as a dataset and as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceaug.data.annotations import ATTRIBUTES, attribute_index
from faceaug.data.folder import Target
from faceaug.data.image import Image8
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.executor import Executor
from faceaug.progress import Show, open_progress
from faceaug.synthesize.classifier import load_classifier
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.convert import export_folder
from faceaug.synthesize.editing import Guide
from faceaug.synthesize.face_files import encode_face
from faceaug.synthesize.hub import fetch_model
from faceaug.synthesize.render import BLOCK, Renderer, RenderPrecision, between, draw_latents, to_uint8, truncate
from faceaug.synthesize.requests import UNASKED, AttributeRequest, Unasked, check_rows, check_strength, parse_attributes
from faceaug.synthesize.saving import FileFormat, SynthesisReport, save_faces, write_grid
from faceaug.synthesize.selection import SelectionReport, Selector
from faceaug.synthesize.target import synthetic_target
from faceaug.synthesize.weights import Model, default_model, load_model

__all__ = ["BLOCK", "SynthesisReport", "SyntheticFaceSource", "synthetic_target", "to_uint8"]

Asked = Mapping[str, int] | NDArray[np.integer[Any]]


class SyntheticFaceSource:
    """A map-style dataset of ``n`` faces from a pretrained generator.

    Face k depends only on (model, seed, k) and its requested attributes, not on the number of faces, batch size,
    workers, threads or order.

    Args:
        model: a bundled name (``faceaug info`` lists them), a model folder, a trainer's run folder or a loaded
            ``Model``; None means "faces-64", see ``faceaug.synthesize.weights.default_model``.
        n: length of the dataset; ``generate`` and ``save`` may go beyond it.
        seed: 0..2**63-1.
        attributes: requested attributes, {"Smiling": 1, "Male": -1}. For a model that takes none, the bundled
            classifier selects faces of the stream that show them; ``selection`` reports the cost.
        strength: strength of the requested attributes: 1 as in training, lower is a hint, higher exaggerates.
        unasked: values of the other attributes for a model that takes them. "typical": those of a real face that has
            the requested ones, drawn anew for every face, so that the faces are as diverse as real ones; "kept": those
            that face k has without any request, fitting or not, so that only the requested ones change; "free":
            unspecified.
        device: where to compute. None is the CPU, whose faces are the reference; another device may differ by a grey
            level.
        truncation: squeeze latent numbers into -truncation..truncation: more ordinary, less diverse faces. None leaves
            them unchanged. See ``faceaug.synthesize.render.truncate``.
        precision: "fp32", the reference, or "bf16": three to four times as fast on processors with matrix instructions,
            with pixels that differ by a grey level or two; on a processor without bfloat16 arithmetic the same as
            "fp32", which is what the attribute ``precision`` then says.
        choose: False refuses attributes for a model that takes none instead of selecting faces.

    Example:
        >>> from faceaug import SyntheticFaceSource
        >>> source = SyntheticFaceSource("dcgan-32", n=100, seed=7)
        >>> source.generate(2).shape
        torch.Size([2, 3, 32, 32])
        >>> face, target = source[5]
        >>> int(target["origin"])  # synthetic
        2
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
        loaded = model if isinstance(model, Model) else load_model(model or default_model(attributes=attributes))
        self.config = loaded.config
        self.seed = check_seed(seed)
        self.device = torch.device("cpu" if device is None else device)
        chooses = choose and not self.config.attributes
        self._selector = Selector(self._stream, self.config) if chooses else None
        self._check_attributes(attributes)
        self.asked = {name: int(value) for name, value in (attributes or {}).items() if value}
        self.strength = check_strength(strength)
        self.unasked = unasked
        self._n = n
        self.truncation = truncation
        self._model = loaded
        self._request = self._request_for(attributes)
        self._renderer = Renderer(loaded.generator, precision, self.device)
        self.precision = self._renderer.precision  # fp32 where the device has no bfloat16
        if truncation is not None:
            truncate(torch.zeros(1, 1), truncation, self.config.latent)  # reports a wrong value early
        self._guide: Guide | None = None  # created at the first edit
        self._block: tuple[int, Tensor] | None = (
            None  # the last one computed; neighbours are usually requested together
        )

    @property
    def chooses(self) -> bool:
        """Whether faces are selected by the classifier because the model takes no attributes."""
        return self._selector is not None

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, k: int) -> tuple[Tensor, Target]:
        """Face k: (uint8 (3, H, W), target)."""
        face = range(self._n)[k]
        return self._face_block(face // BLOCK)[face % BLOCK].clone(), self.target(face)

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Target]]:
        """Many faces, each block computed once; torch's DataLoader calls this."""
        found: dict[int, tuple[Tensor, Target]] = {k: self[k] for k in sorted(set(indices))}
        return [found[k] for k in indices]

    def __repr__(self) -> str:
        return f"SyntheticFaceSource({self.config.name!r}, n={self._n}, seed={self.seed})"

    def generate(self, n: int, attributes: Asked | None = None, start: int = 0) -> Tensor:
        """Generate faces ``start`` to ``start + n - 1``: uint8 (n, 3, H, W) on the CPU.

        Args:
            n: number of faces.
            attributes: replace the source's: by name for all faces, or as rows of -1, 0 and 1, (n, 40) in the order of
                ``faceaug.data.annotations.ATTRIBUTES``. Rows are used as they are: 0 means unspecified.
            start: number of the first face.
        """
        return torch.cat(list(self.blocks(n, start=start, attributes=attributes)))

    def blocks(self, n: int, *, start: int = 0, attributes: Asked | None = None) -> Iterator[Tensor]:
        """Generate the same faces in pieces, uint8 (m, 3, H, W), m <= 64, for more faces than memory holds."""
        if n < 1 or start < 0:
            raise ArgumentError(f"n {n}, start {start}: expected n >= 1 and start >= 0")
        rows = self._checked(attributes, n)
        return self._pieces(start, start + n, attributes if rows is None else rows)

    def _pieces(self, start: int, stop: int, attributes: Asked | None) -> Iterator[Tensor]:
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            first = block * BLOCK
            low, high = max(start, first), min(stop, first + BLOCK)
            # The rest of the block stays empty, because those faces are discarded.
            if isinstance(attributes, np.ndarray):
                rows = np.zeros((BLOCK, len(ATTRIBUTES)), np.int8)
                rows[low - first : high - first] = attributes[low - start : high - start]
                faces = self._renderer.block(self.latents(BLOCK, start=first, attributes=rows))
            elif attributes is not None:
                faces = self._renderer.block(self.latents(BLOCK, start=first, attributes=attributes))
            else:
                faces = self._face_block(block).clone()
            yield faces[low - first : high - first]

    def latents(self, n: int, *, start: int = 0, attributes: Asked | None = None) -> Tensor:
        """Inputs of faces ``start`` to ``start + n - 1``: float32 (n, z_size), truncated if requested.

        For a model that takes attributes, (n, z_size + 40): the latent vector is followed by the attributes, -1
        without, 1 with, 0 unspecified. ``render`` makes the same faces from them, so the numbers can be changed in
        between. For ``attributes`` see ``generate``.
        """
        rows = self._checked(attributes, n)
        request = self._request_for(attributes) if isinstance(attributes, Mapping) else self._request
        given = request.rows(start, n) if rows is None else rows
        if not self.config.attributes:
            return self._noise(
                range(start, start + n) if self._selector is None else self._selector.numbers(given, start)
            )
        z = self._noise(range(start, start + n))
        exaggerated = np.ones(len(ATTRIBUTES), np.bool_) if rows is not None else request.asked != 0
        levels = given.astype(np.float32) * np.where(exaggerated, self.strength, 1.0).astype(np.float32)
        return torch.cat([z, torch.from_numpy(levels)], 1)

    @property
    def selection(self) -> tuple[SelectionReport, ...]:
        """Cost of selecting faces so far, for each request; empty if the model takes attributes."""
        return () if self._selector is None else self._selector.reports

    def _noise(self, numbers: Iterable[int]) -> Tensor:
        """Latent vectors of faces of the stream: float32 (n, z_size)."""
        z = draw_latents(self.seed, numbers, self.config.z_size, self.config.latent)
        return z if self.truncation is None else truncate(z, self.truncation, self.config.latent)

    def _stream(self, n: int, start: int) -> Tensor:
        """Faces of the stream without any selection: uint8 (n, 3, H, W)."""
        return self.render(self._noise(range(start, start + n)))

    def attribute_rows(self, n: int, *, start: int = 0) -> NDArray[np.int8]:
        """Attributes given to faces ``start`` to ``start + n - 1``: int8 (n, 40), requested or typical, 0 unspecified.

        For a model that takes no attributes, those that the faces were selected for.
        """
        return self._request.rows(start, n)

    def target(self, k: int) -> Target:
        """Target of face k; its attributes are those it was given."""
        return synthetic_target(k, self.attribute_rows(1, start=k)[0])

    def render(self, latents: Tensor) -> Tensor:
        """Render any latents in the form of ``latents``: float (n, width) -> uint8 (n, 3, H, W) on the CPU."""
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
        """Change one attribute of faces and keep the rest: uint8 (n, 3, H, W).

        Args:
            faces: the number of a face of the stream, several numbers, or latents in the form of ``latents``.
            attribute: its name.
            value: 1 with, -1 without, 0 unspecified; None means the opposite of each face's value (and 1 where it is
                unspecified).
            guided: optimise until the bundled classifier sees the change and little else, see
                ``faceaug.synthesize.editing``; a tenth of a second or more per face. False passes the new value to the
                generator and accepts the result, as does ``value=0``.

        Raises:
            ArgumentError: an unknown attribute, or a model without attributes.
        """
        return self.render(self.edited_latents(faces, attribute, value, guided=guided))

    def edited_latents(
        self, faces: int | Sequence[int] | Tensor, attribute: str, value: int | None = None, *, guided: bool = True
    ) -> Tensor:
        """Inputs of the faces of ``edit``, float32 (n, width) in the form of ``latents``, for further edits."""
        if not self.config.attributes:
            raise ArgumentError(f"model {self.config.name} takes no attributes; edit needs a model that does")
        self._check_attributes({attribute: 1 if value is None else value})
        if isinstance(faces, Tensor):
            latents = self._checked_latents(faces)
        else:
            numbers = [faces] if isinstance(faces, int) else list(faces)
            latents = torch.cat([self.latents(1, start=k) for k in numbers])
        index = attribute_index(attribute)
        changed = latents.clone()
        column = self.config.z_size + index
        given = changed[:, column]
        wanted = torch.where(given > 0, -1.0, 1.0) if value is None else torch.full_like(given, float(value))
        changed[:, column] = wanted * self.strength
        if not guided or value == 0:
            return changed
        if self._guide is None:
            classifier = load_classifier(device=self.device)
            self._guide = Guide(self._model.generator.to(self.device), classifier, fast=self.precision == "bf16")
        return self._guide(latents, changed, index)

    def interpolate(self, first: int, second: int, steps: int = 9) -> Tensor:
        """Interpolate from face ``first`` to face ``second`` of the stream, both included: uint8 (steps, 3, H, W)."""
        if steps < 2 or min(first, second) < 0:
            raise ArgumentError(f"faces {first} and {second}, steps {steps}: expected faces from 0 and 2 steps or more")
        a, b = self.latents(1, start=first)[0], self.latents(1, start=second)[0]
        return self.render(between(a, b, steps, self.config.latent, z_size=self.config.z_size))

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        download: bool = False,
        sha256: str | None = None,
        n: int = 10_000,
        seed: int = 0,
        attributes: Mapping[str, int] | None = None,
        strength: float = 1.0,
        unasked: Unasked = "typical",
        device: str | torch.device | None = None,
        truncation: float | None = None,
        precision: RenderPrecision = "fp32",
    ) -> SyntheticFaceSource:
        """Open a model by bundled name, folder or Hugging Face hub id ("owner/name").

        Args:
            model: bundled names and folders are tried first; a hub id is looked up in the local cache.
            revision: branch, tag or commit on the hub.
            download: allow downloading what the cache lacks. Nothing else here uses a network.
            sha256: load only the model with this SHA-256 of its config.json, which holds that of the weights.
            n: see the class.
            seed: see the class.
            attributes: see the class.
            strength: see the class.
            unasked: see the class.
            device: see the class.
            truncation: see the class.
            precision: see the class.

        Raises:
            ArgumentError: no such model; the message says how to download it.
            WeightsError: the model is damaged, or not the pinned one.
        """
        found = fetch_model(model, revision=revision, download=download, sha256=sha256)
        return cls(
            found, n=n, seed=seed, attributes=attributes, strength=strength, unasked=unasked, device=device,
            truncation=truncation, precision=precision,
        )  # fmt: skip

    def save_pretrained(self, folder: str | Path) -> ModelConfig:
        """Write the model as a folder for ``from_pretrained`` and the Hugging Face hub: config, weights, card."""
        return export_folder(self._model, folder)

    def save(
        self,
        out: Path | str,
        n: int | None = None,
        *,
        format: FileFormat = "png",
        executor: Executor | None = None,
        progress: Show = None,
    ) -> SynthesisReport:
        """Write faces 0 to n-1 as files with ``metadata.csv`` and ``dataset.json``.

        Args:
            out: a new or empty folder, or one with an unfinished run of the same arguments, which is continued.
            n: number of faces; the length of the dataset by default.
            format: "png" with text chunks for synthetic, model and seed; "jpg"; or "webdataset", tar shards of 1,000
                faces with a JSON file for each.
            executor: makes and writes the faces in place of this process, as on a cluster
                (``faceaug.cluster.open_ray``), which must see ``out`` under the same path.
            progress: None shows progress on a terminal and in a notebook, True everywhere, False nowhere; a function is
                called with (phase, done, total, words). See ``faceaug.progress.open_progress``.

        Raises:
            RefusedError: ``out`` holds something else or cannot be written, or the disk is full.
        """
        count = self._n if n is None else n
        return save_faces(self, Path(out), count, format=format, executor=executor, progress=open_progress(progress))

    def save_grid(self, path: Path | str, n: int = 100, *, columns: int = 10, overwrite: bool = False) -> None:
        """Write faces 0 to n-1 side by side, enlarged twice, as one PNG.

        An earlier sheet of this method is replaced, any other file only with ``overwrite``; else RefusedError.
        """
        write_grid(self, Path(path), n, columns=columns, overwrite=overwrite)

    def encode(self, face: Image8, k: int, ending: str) -> bytes:
        """Encode face k, uint8 (H, W, 3), as a PNG with its provenance in text chunks, or as a JPEG."""
        return encode_face(self, face, k, ending)

    def provenance(self) -> dict[str, Any]:
        """Everything but seed and number that a face depends on, as JSON data."""
        found: dict[str, Any] = {"model": self.config.name, "model_sha256": self.config.sha256}
        if self.truncation is not None:
            found["truncation"] = self.truncation
        if self.config.attributes:
            found |= {"attributes": self.asked, "strength": self.strength, "unasked": self.unasked}
        elif self.asked and self._selector is not None:
            found |= {"attributes": self.asked} | self._selector.provenance()
        return found if self.precision == "fp32" else found | {"precision": self.precision}

    def pictures(self, start: int, n: int) -> list[Image8]:
        """Faces ``start`` to ``start + n - 1`` as pictures: uint8 (H, W, 3) each."""
        return list(self.generate(n, start=start).permute(0, 2, 3, 1).contiguous().numpy())

    def _face_block(self, block: int) -> Tensor:
        if self._block is None or self._block[0] != block:
            self._block = (block, self._renderer.block(self.latents(BLOCK, start=block * BLOCK)))
        return self._block[1]

    def _request_for(self, attributes: Mapping[str, int] | None) -> AttributeRequest:
        typical = self._model.rows if self.config.attributes and self.unasked != "free" else None
        return AttributeRequest(parse_attributes(attributes), typical, self.seed, kept=self.unasked == "kept")

    def _checked(self, attributes: Asked | None, n: int) -> NDArray[np.int8] | None:
        """Check attributes; return rows unchanged, and None for names or nothing."""
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
        if attributes and not self.config.attributes and self._selector is None:
            raise ArgumentError(f"model {self.config.name} takes no attributes; request faces without them")

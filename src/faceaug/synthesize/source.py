"""SyntheticFaceSource: faces of nobody, as a dataset and as files."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from faceaug.annotations import attribute_index, unknown
from faceaug.draws import check_seed, stream
from faceaug.errors import ArgumentError
from faceaug.files import check_free_space, explained, finish_output, prepare_output, write_bytes
from faceaug.folder import Target, make_target
from faceaug.image import Image8, encode_jpeg, encode_png
from faceaug.manifest import DATASET, ManifestWriter, Row
from faceaug.pages import grid
from faceaug.synthesize.convert import export_folder
from faceaug.synthesize.hub import fetch_model
from faceaug.synthesize.render import BLOCK, Renderer, RenderPrecision, between, to_uint8, truncate
from faceaug.synthesize.weights import Model, ModelConfig, load_model

__all__ = ["BLOCK", "SYNTHETIC", "SynthesisReport", "SyntheticFaceSource", "synthetic_target", "to_uint8"]

SYNTHETIC = 2  # in target["origin"]
FileFormat: TypeAlias = Literal["png", "jpg", "webdataset"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
_AT_ONCE = 8 * BLOCK  # faces made before their files are written
_SHARD = 1000  # faces per tar file
_BYTES_PER_FACE = 8192  # on disk, picture and file-system block, generous


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """What ``save`` wrote: where, how many faces, in which files, from which model and seed."""

    out: Path
    faces: int
    files: int
    model: str
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"out": str(self.out), "faces": self.faces, "files": self.files, "model": self.model, "seed": self.seed}


class SyntheticFaceSource:
    """Faces from a pretrained generator: a map-style dataset of ``n`` faces.

    Face k depends on (model, seed, k) alone: not on how many are asked for, batch size, workers, threads or order.

    Args:
        model: a bundled name (``faceaug info`` lists them), a model folder, a trainer's run folder or a loaded
            ``Model``; None is "dcgan-32".
        n: length of the dataset; ``generate`` and ``save`` may go beyond it.
        seed: 0..2**63-1.
        attributes: wanted attributes, {"Smiling": 1, "Male": -1}, for models that take them.
        device: where to compute. None is the CPU, whose faces are the reference; another device may differ from it
            by a grey level.
        truncation: squeeze the latent numbers into -truncation..truncation: more ordinary faces, less diverse. None
            leaves them as they are. See ``faceaug.synthesize.render.truncate``.
        precision: "fp32", the reference, or "bf16": three to four times as fast on processors with matrix
            instructions, with pixels that differ by a grey level or two.

    Raises:
        ArgumentError: unknown model or attribute, attributes for a model that takes none, or n < 1.
        WeightsError: the model is damaged.
    """

    def __init__(
        self,
        model: str | Path | Model | None = None,
        *,
        n: int = 10_000,
        seed: int = 0,
        attributes: Mapping[str, int] | None = None,
        device: str | torch.device | None = None,
        truncation: float | None = None,
        precision: RenderPrecision = "fp32",
    ) -> None:
        if n < 1:
            raise ArgumentError(f"n {n}: expected at least 1 face")
        loaded = model if isinstance(model, Model) else load_model(model)
        self.config = loaded.config
        self.seed = check_seed(seed)
        self.device = torch.device("cpu" if device is None else device)
        self._check_attributes(attributes)
        self._n = n
        self.truncation, self.precision = truncation, precision
        self._model = loaded
        self._renderer = Renderer(loaded.generator, precision, self.device)
        if truncation is not None:
            truncate(torch.zeros(1, 1), truncation, self.config.latent)  # says now what is wrong with it
        self._block: tuple[int, Tensor] | None = None  # the last one computed: neighbours are usually asked together

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, k: int) -> tuple[Tensor, Target]:
        """Face k: (uint8 (3, H, W), target)."""
        face = range(self._n)[k]
        return self._face_block(face // BLOCK)[face % BLOCK].clone(), synthetic_target(face)

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Target]]:
        """Many faces, each block computed once; torch's DataLoader asks like this."""
        found: dict[int, tuple[Tensor, Target]] = {k: self[k] for k in sorted(set(indices))}
        return [found[k] for k in indices]

    def __repr__(self) -> str:
        return f"SyntheticFaceSource({self.config.name!r}, n={self._n}, seed={self.seed})"

    def generate(self, n: int, attributes: Mapping[str, int] | None = None, start: int = 0) -> Tensor:
        """Faces ``start`` to ``start + n - 1``: uint8 (n, 3, H, W) on the CPU."""
        if n < 1 or start < 0:
            raise ArgumentError(f"n {n}, start {start}: expected n >= 1 and start >= 0")
        self._check_attributes(attributes)
        return torch.cat(list(self.blocks(n, start=start)))

    def blocks(self, n: int, *, start: int = 0) -> Iterator[Tensor]:
        """The same faces, in pieces: uint8 (m, 3, H, W), m <= 64. For more faces than memory holds."""
        stop = start + n
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            first = block * BLOCK
            yield self._face_block(block)[max(start - first, 0) : min(stop - first, BLOCK)].clone()

    def latents(self, n: int, *, start: int = 0) -> Tensor:
        """The latent vectors of faces ``start`` to ``start + n - 1``: float32 (n, z_size), truncated if asked for."""
        shape = (self.config.z_size,)
        draws = [stream(self.seed, index=k, slot="face/latent") for k in range(start, start + n)]
        if self.config.latent == "uniform":
            numbers = np.stack([draw.random(shape, "f4") * 2 - 1 for draw in draws])
        else:
            numbers = np.stack([draw.standard_normal(shape, "f4") for draw in draws])
        z = torch.from_numpy(numbers)
        return z if self.truncation is None else truncate(z, self.truncation, self.config.latent)

    def render(self, latents: Tensor) -> Tensor:
        """Faces of any latent vectors: float (n, z_size) -> uint8 (n, 3, H, W) on the CPU."""
        if latents.ndim != 2 or latents.shape[1] != self.config.z_size or not len(latents):
            raise ArgumentError(f"latents of shape {tuple(latents.shape)}: expected (n, {self.config.z_size}), n >= 1")
        return torch.cat([self._renderer.block(part) for part in torch.split(latents.float().cpu(), BLOCK)])

    def interpolate(self, first: int, second: int, steps: int = 9) -> Tensor:
        """The way from face ``first`` to face ``second`` of the stream, both included: uint8 (steps, 3, H, W)."""
        if steps < 2 or min(first, second) < 0:
            raise ArgumentError(f"faces {first} and {second}, steps {steps}: expected faces from 0 and 2 steps or more")
        a, b = self.latents(1, start=first)[0], self.latents(1, start=second)[0]
        return self.render(between(a, b, steps, self.config.latent))

    @classmethod
    def from_pretrained(
        cls, model: str | Path, *, revision: str | None = None, download: bool = False, n: int = 10_000, seed: int = 0,
        device: str | torch.device | None = None, truncation: float | None = None, precision: RenderPrecision = "fp32",
    ) -> SyntheticFaceSource:  # fmt: skip
        """Open a model by name, by folder or by its id on the Hugging Face hub ("owner/name").

        Args:
            model: bundled names and folders are tried first. A hub id is looked up in the local cache.
            revision: branch, tag or commit on the hub.
            download: whether the hub may be asked for what the cache does not have. Nothing else here uses a network.
            n: see the class, as for the others.
            seed: see the class.
            device: see the class.
            truncation: see the class.
            precision: see the class.

        Raises:
            ArgumentError: nothing of that name; the message says how to download.
            WeightsError: the model is damaged.
        """
        found = fetch_model(model, revision=revision, download=download)
        return cls(found, n=n, seed=seed, device=device, truncation=truncation, precision=precision)

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
        if count < 1:
            raise ArgumentError(f"n {count}: expected at least 1 face")
        if format not in FILE_FORMATS:
            raise ArgumentError(f"format {format!r}: expected one of {', '.join(FILE_FORMATS)}")
        folder = Path(out)
        check_free_space(folder, count * _BYTES_PER_FACE)
        run = {"command": "synth", "n": count, "format": format, "seed": self.seed} | self._provenance()
        prepare_output(folder, marker=DATASET, identity=run)
        write = self._write_shards if format == "webdataset" else partial(self._write_files, ending=format)
        with explained(folder):
            files = write(folder, count, on_progress or (lambda _: None))
            finish_output(folder, marker=DATASET, document={"run": run, "faces": count})
        return SynthesisReport(folder, count, files, self.config.name, self.seed)

    def save_grid(self, path: Path | str, n: int = 100, *, columns: int = 10) -> None:
        """Write faces 0 to n-1 side by side, twice enlarged, as one PNG."""
        with explained(Path(path)):
            write_bytes(Path(path), encode_png(grid(self._pictures(0, n), columns=min(columns, n), enlarge=2)))

    def _write_files(self, folder: Path, count: int, on_progress: Callable[[int], None], *, ending: str) -> int:
        # Many faces at once, then their files: threads for the files were slower, they wait for the interpreter.
        with closing(ManifestWriter(folder)) as manifest:
            while manifest.done < count:
                start = manifest.done
                stop = min(start - start % _AT_ONCE + _AT_ONCE, count)
                for k, face in enumerate(self._pictures(start, stop - start), start=start):
                    name = f"{k:06d}.{ending}"
                    manifest.add(self._row(name, k, self._write_file(folder / name, face, k)))
                manifest.flush()
                on_progress(manifest.done)
            manifest.finish()
        return count

    def _write_file(self, path: Path, face: Image8, k: int) -> str:
        data = self.encode(face, k, path.suffix.removeprefix("."))
        write_bytes(path, data)
        return hashlib.sha256(data).hexdigest()

    def _write_shards(self, folder: Path, count: int, on_progress: Callable[[int], None]) -> int:
        shards = -(-count // _SHARD)
        for shard in range(shards):
            path, start = folder / f"{shard:06d}.tar", shard * _SHARD
            stop = min(start + _SHARD, count)
            if not path.is_file():
                buffer = io.BytesIO()
                with tarfile.open(fileobj=buffer, mode="w") as tar:
                    for offset, face in enumerate(self._pictures(start, stop - start)):
                        self._add_sample(tar, start + offset, face)
                write_bytes(path, buffer.getvalue())
            on_progress(stop)
        return shards

    def _add_sample(self, tar: tarfile.TarFile, k: int, face: Image8) -> None:
        facts = json.dumps({"synthetic": True, "seed": self.seed, "key": k} | self._provenance()).encode()
        for ending, data in (("png", self.encode(face, k, "png")), ("json", facts)):
            member = tarfile.TarInfo(f"{k:09d}.{ending}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

    def encode(self, face: Image8, k: int, ending: str) -> bytes:
        """Face k, uint8 (H, W, 3), as the bytes of a PNG that says what it is, or of a JPEG."""
        if ending == "jpg":
            return encode_jpeg(face)
        text = {"synthetic": "true", "model": self.config.name, "seed": str(self.seed), "key": str(k)}
        if self.truncation is not None:
            text["truncation"] = str(self.truncation)
        return encode_png(face, text=text)

    def _row(self, name: str, k: int, digest: str) -> Row:
        return Row(
            file_name=name, target=synthetic_target(k), model=self.config.name, seed=self.seed, key=k, sha256=digest
        )

    def _provenance(self) -> dict[str, Any]:
        found: dict[str, Any] = {"model": self.config.name, "model_sha256": self.config.sha256}
        if self.truncation is not None:
            found["truncation"] = self.truncation
        return found if self.precision == "fp32" else found | {"precision": self.precision}

    def _pictures(self, start: int, n: int) -> list[Image8]:
        return list(self.generate(n, start=start).permute(0, 2, 3, 1).contiguous().numpy())

    def _face_block(self, block: int) -> Tensor:
        if self._block is None or self._block[0] != block:
            self._block = (block, self._renderer.block(self.latents(BLOCK, start=block * BLOCK)))
        return self._block[1]

    def _check_attributes(self, attributes: Mapping[str, int] | None) -> None:
        for name in attributes or ():
            attribute_index(name)
        if attributes:
            raise ArgumentError(f"model {self.config.name} takes no attributes; ask for faces without them")


def synthetic_target(index: int) -> Target:
    """The target of a synthetic face: nothing known, origin 2, training partition (never validation or test)."""
    nobody = unknown(1)
    nobody.origin[0], nobody.partition[0] = SYNTHETIC, 0
    return make_target(nobody, 0) | {"index": index}

"""Containers of pictures and tables, read in place without unpacking: ZIP, tar, InsightFace's RecordIO, Parquet.

A member is addressed by its path below the container, as if the container were a folder: ``shard-000000.tar/7.png``.
The same path syntax and the same reader therefore work for folders and containers.

RecordIO (Apache MXNet 1.9, ``dmlc/recordio.h`` and ``python/mxnet/recordio.py``): ``NAME.rec`` is a sequence of chunks.
A chunk is a uint32 magic number, a uint32 with its kind (3 bits) and length (29 bits), and its bytes, padded to a
multiple of four. A record that contains the magic number is split there into several chunks, without that number. A
record is a header (flag uint32, label float32, two ids uint64), ``flag`` further float32 labels, and a picture.
``NAME.idx`` has a line ``key<TAB>offset`` for each record. In InsightFace's datasets record 0 has no picture: its
labels are (end of the pictures, end of the identities), and the records from there on list each identity's first and
last picture.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, TypeAlias

from faceaug.data.columnar import list_pictures, read_picture
from faceaug.errors import AnnotationError, printable

Kind: TypeAlias = Literal["zip", "tar", "rec", "parquet"]
ENDINGS: dict[str, Kind] = {".zip": "zip", ".tar": "tar", ".rec": "rec", ".parquet": "parquet"}
_TABLE = "metadata.parquet"  # names pictures, and contains none
_MAGIC = 0xCED7230A
_HEADER = struct.Struct("<IfQQ")
_CHUNK = struct.Struct("<II")
_MOST_MEMBERS = 10_000_000  # of one container; larger ones are refused as implausible
_OPEN = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Member:
    """Location of a member's bytes.

    Attributes:
        offset: offset of its data (tar), local header (ZIP) or record (RecordIO); row (Parquet).
        stored: stored size, bytes.
        size: uncompressed size, bytes.
        method: compression method in a ZIP: 0 stored, 8 deflated.
    """

    offset: int
    stored: int
    size: int
    method: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The contents of a container.

    Attributes:
        members: the members by path.
        labels: the identity of each picture in a RecordIO file.
        left: (name, reason) of skipped members.
    """

    members: Mapping[str, Member]
    labels: Mapping[str, int]
    left: tuple[tuple[str, str], ...]


def kind_of(name: str) -> Kind | None:
    """The kind of container, by file suffix; None for other files."""
    return None if name.endswith(_TABLE) else ENDINGS.get(PurePosixPath(name).suffix.lower())


def without_ending(name: str) -> str:
    """The name of a folder, or the name of a container without its suffix."""
    return name[: -len(PurePosixPath(name).suffix)] if kind_of(name) else name


def open_container(path: Path) -> Contents:
    """List a container; the result is cached until the file changes.

    Raises:
        AnnotationError: it is damaged, or not of the kind that its suffix says.
    """
    try:
        facts = path.stat()
        return _listed(str(path), facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise AnnotationError(f"{printable(path)}: cannot be read ({error.strerror})") from error


def split_path(path: Path | str) -> tuple[Path, str] | None:
    """Split a path through a container into (container, member); None if no part of it is a container."""
    whole = Path(path)
    for above in whole.parents:
        if kind_of(above.name) and above.is_file():
            return above, whole.relative_to(above).as_posix()
    return None


def file_of(path: Path) -> Path:
    """The file that holds a picture: the picture file itself, or its container."""
    if path.is_file():
        return path
    inside = split_path(path)
    return path if inside is None else inside[0]


def read_member(container: Path, name: str, most: int) -> bytes:
    """Read one member.

    Raises:
        OSError: the container cannot be read, or has no such member.
        ValueError: the member is damaged, compressed by an unsupported method, or larger than ``most`` bytes.
    """
    try:
        found = open_container(container).members.get(name)
    except AnnotationError as error:
        raise ValueError(f"is in a container that cannot be read ({error})") from error
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no such member", name)
    if found.size > most:
        raise ValueError(f"has {found.size} bytes; the limit is {most}")
    if kind_of(container.name) == "parquet":
        facts = container.stat()
        return read_picture(container, found.offset, (facts.st_size, facts.st_mtime_ns))
    with open(os.open(container, _OPEN), "rb") as handle:
        kind = kind_of(container.name)
        if kind == "rec":
            return _record(handle, found.offset, most)
        handle.seek(_start_in_zip(handle, found.offset) if kind == "zip" else found.offset)
        return _unpacked(handle.read(found.stored), found)


@lru_cache(maxsize=4096)
def _listed(path: str, size: int, changed: int) -> Contents:  # noqa: ARG001 - size and time are part of the cache key
    kind = kind_of(path)
    try:
        if kind == "parquet":
            return Contents({name: Member(row, 0, 0) for name, row in list_pictures(Path(path))}, {}, ())
        with open(os.open(path, _OPEN), "rb") as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise ValueError("is not a regular file")
            if kind == "rec":
                return _list_records(handle, Path(path).with_suffix(".idx"))
            return _named(_list_zip(handle) if kind == "zip" else _list_tar(handle))
    except (ValueError, zipfile.BadZipFile, tarfile.TarError, EOFError, struct.error, NotImplementedError) as error:
        raise AnnotationError(f"{printable(path)}: is not a readable {kind} file ({error})") from error


def _named(found: Iterator[tuple[str, Member | None, str]]) -> Contents:
    members: dict[str, Member] = {}
    left: list[tuple[str, str]] = []
    for name, member, problem in found:
        inside = PurePosixPath(name.replace("\\", "/"))
        if problem or member is None:
            left.append((name, problem))
        elif inside.is_absolute() or ".." in inside.parts or not inside.parts or "\0" in name:
            left.append((name, "points outside the container"))
        elif str(inside) in members:
            left.append((name, "is in the container twice; the first counts"))
        else:
            members[str(inside)] = member
        if len(members) > _MOST_MEMBERS:
            raise ValueError(f"has more than {_MOST_MEMBERS:,} members")
    return Contents(members, {}, tuple(left))


def _list_zip(handle: BinaryIO) -> Iterator[tuple[str, Member | None, str]]:
    with zipfile.ZipFile(handle) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            problem = "is encrypted" if info.flag_bits & 1 else ""
            if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                problem = "uses an unsupported compression; pack it again with deflate"
            yield (
                info.filename,
                Member(info.header_offset, info.compress_size, info.file_size, info.compress_type),
                problem,
            )


def _list_tar(handle: BinaryIO) -> Iterator[tuple[str, Member | None, str]]:
    with tarfile.open(fileobj=handle, mode="r:") as archive:
        for info in archive:
            if info.isreg() and not info.issparse():
                yield info.name, Member(info.offset_data, info.size, info.size), ""
            elif not info.isdir():
                yield info.name, None, "is a link or another special file"


def _list_records(handle: BinaryIO, index: Path) -> Contents:
    members: dict[str, Member] = {}
    labels: dict[str, int] = {}
    end: int | None = None
    for key, offset in _offsets(handle, index):
        header, _, size = _record_header(handle, offset)
        if key == 0 and len(header) > 1:
            end = int(header[0])
        elif size and (end is None or key < end):
            name = f"{key:07d}.jpg"
            members[name] = Member(offset, size, size)
            labels[name] = int(header[0])
    return Contents(members, labels, ())


def _offsets(handle: BinaryIO, index: Path) -> list[tuple[int, int]]:
    """(key, offset) of each record, from the index or else by scanning the file."""
    if not index.is_file():
        return list(enumerate(_walk_records(handle)))
    pairs = [line.split() for line in index.read_text("utf-8").splitlines() if line.strip()]
    if any(len(pair) != 2 or not all(part.isdigit() and len(part) < 20 for part in pair) for pair in pairs):
        raise ValueError(f"{index.name} should have a number and an offset in each line")
    return sorted((int(key), int(offset)) for key, offset in pairs)


def _walk_records(handle: BinaryIO) -> Iterator[int]:
    at = 0
    size = handle.seek(0, io.SEEK_END)
    while at < size:
        start = at
        more = True
        while more:
            kind, length = _chunk(handle, at)
            at += _CHUNK.size + (length + 3) // 4 * 4
            more = kind in {1, 2}
        yield start


def _chunk(handle: BinaryIO, at: int) -> tuple[int, int]:
    """(kind, length) of the chunk at an offset; kinds are 0 whole, 1 first, 2 middle, 3 last."""
    handle.seek(at)
    head = handle.read(_CHUNK.size)
    magic, facts = _CHUNK.unpack(head) if len(head) == _CHUNK.size else (0, 0)
    if magic != _MAGIC:
        raise ValueError(f"no record begins at byte {at}")
    return facts >> 29, facts & (1 << 29) - 1


def _record_header(handle: BinaryIO, offset: int) -> tuple[tuple[float, ...], int, int]:
    """(labels, offset of the picture in the record, its bytes), without reading the picture."""
    _, length = _chunk(handle, offset)
    head = handle.read(min(length, _HEADER.size))
    flag, label, _, _ = _HEADER.unpack(head)
    if flag * 4 > length - _HEADER.size:
        raise ValueError(f"the record at byte {offset} is shorter than its labels")
    labels = struct.unpack(f"<{flag}f", handle.read(4 * flag)) if flag else (label,)
    start = _HEADER.size + 4 * flag
    whole = all(abs(number) < 2**53 for number in labels)  # also false for NaN
    if not whole:
        raise ValueError(f"the record at byte {offset} has a label that is not a number")
    return labels, start, length - start


def _record(handle: BinaryIO, offset: int, most: int) -> bytes:
    """The picture of a record; its chunks are joined by the magic number at which they were split."""
    start = _record_header(handle, offset)[1]
    data = b""
    at = offset
    more = True
    while more:
        kind, length = _chunk(handle, at)
        data += handle.read(length)
        at += _CHUNK.size + (length + 3) // 4 * 4
        more = kind in {1, 2}
        data += struct.pack("<I", _MAGIC) if more else b""
        if len(data) > most:
            raise ValueError(f"has more than {most} bytes")
    return data[start:]


def _start_in_zip(handle: BinaryIO, header: int) -> int:
    handle.seek(header)
    head = handle.read(30)
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        raise ValueError("has no local header in its ZIP file")
    name, extra = struct.unpack("<HH", head[26:30])
    return int(header + 30 + name + extra)


def _unpacked(data: bytes, member: Member) -> bytes:
    if member.method:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
        except zlib.error as error:
            raise ValueError(f"is damaged in its ZIP file ({error})") from error
    if len(data) != member.size:
        raise ValueError(f"has {len(data)} bytes in its container, not the {member.size} it should have")
    return data

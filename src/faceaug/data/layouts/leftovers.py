"""Notes on unused files in a folder: tables, pictures of unsupported formats, archives, other files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Reading
from faceaug.data.layouts.records import CONVERTED
from faceaug.data.metadata_files import METADATA_NAMES
from faceaug.errors import AnnotationError, counted, some

CLEANED = "clean.json"  # name of the record of a clean, in the state folder or in a cleaned copy
_TABLES_ABOVE = (
    *METADATA_NAMES, "peopleDevTrain.txt", "peopleDevTest.txt", "fairface_label_train.csv", "fairface_label_val.csv",
    "data.yaml",
)  # fmt: skip
_RECORDS = {CLEANED: "clean", CONVERTED: "convert"}
LIKE_PICTURES = frozenset(
    """.jpg .jpeg .jpe .jfif .jif .jp2 .j2k .jpx .jxl .jxr .png .apng .webp .bmp .dib .gif .tif .tiff .avif .avifs .heic
    .heif .hif .ico .icns .psd .svg .pbm .pgm .ppm .pnm .pfm .tga .dds .exr .hdr .raw .dng .cr2 .cr3 .nef .arw .orf .raf
    .rw2 .pcx .ras .sr .mng .qoi .xbm .xpm""".split()  # noqa: SIM905 - fifty lines of list would say no more
)
_LIKE = ("file looks like a picture", "files look like pictures")
_HEIC = frozenset([".heic", ".heif", ".hif"])  # read with an extra
_LIKE_TABLES = frozenset(
    """.csv .tsv .txt .json .jsonl .ndjson .parquet .arrow .feather .xls .xlsx .ods .xml .mat .npy .npz .pkl .pickle
    .h5 .hdf5 .db .sqlite .lst .list .pts .dat .anno .ann .yaml .yml .idx .property .tfrecord .tfrecords .lmdb
    .mdb""".split()  # noqa: SIM905
)
_ARCHIVES = frozenset([".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".rec"])
_TEXTS = frozenset(
    """.md .rst .html .htm .css .js .pdf .doc .docx .py .ipynb .sh .bat .m .toml .cfg .ini .log .bib .lnk
    .url""".split()  # noqa: SIM905
)
_DOCUMENTS = ("readme", "license", "licence", "copying", "citation", "changelog", "authors", "notice")


def name_leftovers(place: Place, reading: Reading) -> tuple[str, ...]:
    """A note for each kind of file that no reader used, except documents such as README."""
    left = [name for name in place.others if name not in reading.used and not _is_ours(place, name)]
    notes = list(_above(place))
    pictures = [name for name in left if _ending(name) in LIKE_PICTURES]
    if pictures:
        notes.append(
            f"{counted(len(pictures), *_LIKE)} of unsupported formats: {_by_ending(pictures)}" + _advice(pictures)
        )
    rest = [name for name in left if _ending(name) not in LIKE_PICTURES and not _is_text(name)]
    archives = [name for name in rest if _ending(name) in _ARCHIVES]
    tables = [name for name in rest if _ending(name) in _LIKE_TABLES]
    others = [name for name in rest if _ending(name) not in _LIKE_TABLES | _ARCHIVES]
    if archives:
        notes.append(
            f"{counted(len(archives), 'archive')} not read ({some(archives)}); a ZIP or tar opens by its own path"
        )
    if tables:
        notes.append(_unread_tables(tables))
    if others:
        notes.append(f"{counted(len(others), 'other file')} not read ({some(others)})")
    return tuple(notes)


def _above(place: Place) -> Iterable[str]:
    """A note on a table of pictures in the folder above, which may be about these."""
    above = place.root.resolve().parent
    tables = [name for name in _TABLES_ABOVE if (above / name).is_file()]
    if tables and not any(name in place.tables for name in _TABLES_ABOVE):
        are = "is" if len(tables) == 1 else "are"
        yield f"{some(tables)} in the folder above {are} not read; open that folder if the pictures here belong to it"


def _is_ours(place: Place, name: str) -> bool:
    """Whether a file is the record that ``clean --out`` or ``convert`` writes into its output."""
    if name not in _RECORDS:
        return False
    try:
        return bool(place.json(place.file(name))["run"]["command"] == _RECORDS[name])
    except (AnnotationError, ValueError, KeyError, TypeError):
        return False


def unread_files(names: tuple[str, ...]) -> list[str]:
    """What is in a folder without pictures: files like pictures, counted by suffix, and files that may hold some."""
    pictures = [name for name in names if _ending(name) in LIKE_PICTURES]
    tables = [name for name in names if _ending(name) in _LIKE_TABLES]
    archives = [name for name in names if _ending(name) in _ARCHIVES]
    found = [f"these are not read: {_by_ending(pictures)}{_advice(pictures)}"] if pictures else []
    found += [f"{counted(len(archives), 'archive')} not read ({some(archives)})"] if archives else []
    return found + ([_unread_tables(tables)] if tables else [])


def _unread_tables(names: list[str]) -> str:
    may = counted(len(names), "file that may be a table is", "files that may be tables are")
    return f"{may} not read ({some(names)})"


def _advice(names: list[str]) -> str:
    return "; for HEIC: python -m pip install 'faceaug[heic]'" if any(_ending(name) in _HEIC for name in names) else ""


def _by_ending(names: list[str]) -> str:
    counts = Counter(map(_ending, names))
    return ", ".join(f"{ending} ({count}, {some([_first(names, ending)])})" for ending, count in sorted(counts.items()))


def _first(names: list[str], ending: str) -> str:
    return next(name for name in names if _ending(name) == ending)


def _is_text(name: str) -> bool:
    stem = PurePosixPath(name).name.lower()
    return _ending(name) in _TEXTS or (stem.startswith(_DOCUMENTS) and _ending(name) in {"", ".txt"})


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()

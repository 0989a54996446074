"""Models in cloud buckets: fetched once, and only with the expected hash."""

from __future__ import annotations

from faceaug.errors import FaceAugError, WeightsError
from faceaug.storage.files import write_bytes
from faceaug.storage.temporary import temporary_folder
from faceaug.synthesize.weights import CONFIG, WEIGHTS, Model, load_folder, parse_pin

MAX_BYTES = {CONFIG: 2**20, WEIGHTS: 2**30}


def fetch_from_bucket(url: str, *, sha256: str) -> Model:
    """Load the model in a folder of a bucket.

    Args:
        url: "gs://bucket/folder", or any other URL that fsspec knows, of a folder with config.json and
            model.safetensors.
        sha256: of config.json, 64 hexadecimal digits; that file holds the hash of the weights. Whoever may write into
            the bucket cannot change either.

    Raises:
        ArgumentError: not a SHA-256 hash.
        WeightsError: a file cannot be fetched, is too large or has another hash; nothing is loaded.
    """
    expected = parse_pin(sha256, where=url)
    data = {name: _read(f"{url.rstrip('/')}/{name}", limit) for name, limit in MAX_BYTES.items()}
    with temporary_folder() as folder:
        for name, content in data.items():
            write_bytes(folder / name, content, durable=False)
        try:
            return load_folder(folder, sha256=expected)
        except WeightsError as error:  # of a temporary place, which says nothing to anybody
            raise WeightsError(str(error).replace(str(folder), url.rstrip("/"))) from error


def _read(url: str, limit: int) -> bytes:
    try:
        import fsspec
    except ModuleNotFoundError:
        raise FaceAugError("a model in a bucket needs fsspec: python -m pip install 'faceaug[cloud]'") from None
    try:
        with fsspec.open(url, "rb") as handle:
            data: bytes = handle.read(limit + 1)
    except Exception as error:  # storage backends have no common base class of errors
        raise WeightsError(f"{url}: cannot be fetched ({type(error).__name__}: {error})") from error
    if len(data) > limit:
        raise WeightsError(f"{url}: more than {limit} bytes")
    return data

"""Every error faceaug raises on purpose, and the exit code of the command that ends with it.

::

    FaceAugError                    1   something failed; the message says what, where and what to do next
    ├── ArgumentError (ValueError)  2   the caller asked for something impossible: a bad option, an unknown name
    ├── RefusedError                3   nothing was changed: locked, no pictures, read-only, output in the way
    ├── ImageError                  1   one file is not a picture faceaug reads (never stops a run over a folder)
    ├── AnnotationError             1   a table contradicts itself or its pictures
    ├── WeightsError                1   a model is damaged, altered or of another shape
    ├── JournalError                1   the folder is not as the journal left it
    └── Interrupted                 130 SIGINT or SIGTERM arrived; the state was kept

Catch them all with ``except faceaug.FaceAugError``.
"""

from __future__ import annotations


class FaceAugError(Exception):
    """Base of all errors that faceaug raises on purpose.

    Example:
        >>> import faceaug
        >>> try:
        ...     faceaug.Rotate(-20)
        ... except faceaug.FaceAugError as error:
        ...     error.exit_code
        2
    """

    exit_code = 1


class ArgumentError(FaceAugError, ValueError):
    """An option, path, attribute or model name that cannot be used.

    Example:
        >>> import faceaug
        >>> faceaug.Rotate(20, p=2)
        Traceback (most recent call last):
        faceaug.errors.ArgumentError: p=2: expected a probability from 0 (never) to 1 (always)
    """

    exit_code = 2


class RefusedError(FaceAugError):
    """The work was not started, and nothing was changed.

    Example:
        >>> import faceaug
        >>> from pathlib import Path
        >>> _ = Path("notes.txt").write_text("Keep me.")
        >>> try:
        ...     faceaug.SyntheticFaceSource("dcgan-32").save(".", 2)
        ... except faceaug.RefusedError:
        ...     Path("notes.txt").read_text()
        'Keep me.'
    """

    exit_code = 3


class ImageError(FaceAugError):
    """A file that is not a readable picture; names the file and the reason.

    Attributes:
        name: the file, as the caller named it.
        reason: what is wrong with it, without the name.

    Example:
        >>> import faceaug
        >>> from pathlib import Path
        >>> Path("faces").mkdir()
        >>> _ = Path("faces/torn.jpg").write_bytes(bytes(9))
        >>> try:
        ...     faceaug.FaceFolder("faces")[0]
        ... except faceaug.ImageError as error:
        ...     Path(error.name).name
        'torn.jpg'
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{printable(name)}: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        # Worker processes send errors home; the default would call ImageError(message) and fail.
        return type(self), (self.name, self.reason)


class AnnotationError(FaceAugError):
    r"""A table that contradicts itself or the pictures it describes.

    Example:
        >>> import faceaug
        >>> from pathlib import Path
        >>> Path("faces").mkdir()
        >>> _ = Path("faces/one.jpg").write_bytes(bytes(9))
        >>> _ = Path("faces/metadata.csv").write_text("file_name,Smiling\none.jpg,1\none.jpg,-1\n")
        >>> try:
        ...     faceaug.FaceFolder("faces")
        ... except faceaug.AnnotationError as error:
        ...     error.exit_code
        1
    """


class WeightsError(FaceAugError):
    """A model folder that is damaged or altered, or does not match its config.

    Example:
        >>> import faceaug
        >>> from pathlib import Path
        >>> _ = faceaug.SyntheticFaceSource("dcgan-32").save_pretrained("mine")
        >>> _ = Path("mine/model.safetensors").write_bytes(b"damaged")
        >>> try:
        ...     faceaug.SyntheticFaceSource("mine")
        ... except faceaug.WeightsError as error:
        ...     error.exit_code
        1
    """


class JournalError(FaceAugError):
    """The folder is not as the journal left it.

    Example:
        >>> import faceaug
        >>> faceaug.JournalError.exit_code
        1
    """


class Interrupted(FaceAugError):  # noqa: N818 - an event, not an error
    """A signal stopped the run; finished work is kept and can be continued.

    Example:
        >>> import faceaug
        >>> faceaug.Interrupted.exit_code
        130
    """

    exit_code = 130


def printable(name: object) -> str:
    """A file name as one safe line: bytes that are not UTF-8 and control characters escaped."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(name))


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def some(names: list[str], limit: int = 3) -> str:
    """The first few of a list of names, for a message: ``a.jpg, b.jpg and 7 more``."""
    shown = ", ".join(printable(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def counted(n: int, one: str, many: str = "") -> str:
    """A number with its noun and what has to agree with it: "1 file is", "2,000 files are".

    Args:
        n: the number.
        one: words after 1.
        many: words after any other number; ``one`` and an "s" by default.
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"

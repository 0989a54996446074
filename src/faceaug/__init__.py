"""faceaug makes a folder of face pictures a better training set.

::

    a messy folder --clean--> a clean folder --augment--+
                                                        +--mix--> torch Dataset / DataLoader, or a new folder
    noise --------synthesize--> faces ------------------+
              ^
              +--train-- from any folder

Importing this package loads neither torch nor OpenCV; each name is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from faceaug.deprecated_paths import keep_former_paths

if TYPE_CHECKING:
    from faceaug.augment import (
        Compose as Compose,
        Elastic as Elastic,
        GaussianBlur as GaussianBlur,
        HorizontalFlip as HorizontalFlip,
        MotionBlur as MotionBlur,
        OneOf as OneOf,
        Perspective as Perspective,
        Rotate as Rotate,
        Stretch as Stretch,
        Twist as Twist,
        VerticalFlip as VerticalFlip,
    )
    from faceaug.clean import (
        CleanPolicy as CleanPolicy,
        CleanReport as CleanReport,
        clean_folder as clean_folder,
        find_leaks as find_leaks,
        undo_clean as undo_clean,
    )
    from faceaug.data.convert import convert_folder as convert_folder
    from faceaug.data.folder import FaceFolder as FaceFolder
    from faceaug.data.split import split_folder as split_folder
    from faceaug.deidentify import deidentify_folder as deidentify_folder
    from faceaug.errors import (
        AnnotationError as AnnotationError,
        ArgumentError as ArgumentError,
        FaceAugError as FaceAugError,
        ImageError as ImageError,
        Interrupted as Interrupted,
        JournalError as JournalError,
        RefusedError as RefusedError,
        WeightsError as WeightsError,
    )
    from faceaug.evaluate import evaluate_source as evaluate_source
    from faceaug.faces import (
        Face as Face,
        FaceFinder as FaceFinder,
        align_folder as align_folder,
        check_alignment as check_alignment,
    )
    from faceaug.labels import LabelReport as LabelReport, check_labels as check_labels
    from faceaug.mix import (
        AugmentedDataset as AugmentedDataset,
        ExpandedDataset as ExpandedDataset,
        attribute_targets as attribute_targets,
        expand_dataset as expand_dataset,
    )
    from faceaug.synthesize import SyntheticFaceSource as SyntheticFaceSource, build_network as build_network
    from faceaug.train import TrainConfig as TrainConfig, train_gan as train_gan

_HOME = {
    "faceaug.data.folder": ("FaceFolder",),
    "faceaug.data.convert": ("convert_folder",),
    "faceaug.data.split": ("split_folder",),
    "faceaug.faces": ("Face", "FaceFinder", "align_folder", "check_alignment"),
    "faceaug.clean": ("clean_folder", "find_leaks", "undo_clean", "CleanPolicy", "CleanReport"),
    "faceaug.augment": (
        "Rotate",
        "HorizontalFlip",
        "VerticalFlip",
        "Stretch",
        "Twist",
        "Elastic",
        "Perspective",
        "GaussianBlur",
        "MotionBlur",
        "Compose",
        "OneOf",
    ),
    "faceaug.synthesize": ("SyntheticFaceSource", "build_network"),
    "faceaug.deidentify": ("deidentify_folder",),
    "faceaug.mix": ("AugmentedDataset", "ExpandedDataset", "attribute_targets", "expand_dataset"),
    "faceaug.train": ("TrainConfig", "train_gan"),
    "faceaug.evaluate": ("evaluate_source",),
    "faceaug.labels": ("check_labels", "LabelReport"),
    "faceaug.errors": (
        "FaceAugError",
        "ArgumentError",
        "RefusedError",
        "ImageError",
        "AnnotationError",
        "WeightsError",
        "JournalError",
        "Interrupted",
    ),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}
__all__ = list(_MODULE)  # in the order of the pipeline

keep_former_paths()


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("faceaug")
    if name not in _MODULE:
        raise AttributeError(f"module 'faceaug' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names and the module attributes."""
    return sorted({"__version__", *__all__, *(name for name in globals() if name.startswith("__"))})

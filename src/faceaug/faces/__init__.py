"""Faces in photos: where they are, how they are turned, and aligned to a template. Needs no torch.

A photo -> views (whole, turned, tiles) -> YuNet (candidates) -> overlaps dropped -> O-Net on each levelled crop and its
mirror image (landmarks, and whether it is a face) -> faces, largest first -> template (a similarity) -> one resample.
"""

from faceaug.faces.align import align_folder as align_folder
from faceaug.faces.align_cache import open_aligned as open_aligned
from faceaug.faces.align_options import AlignOptions as AlignOptions
from faceaug.faces.align_report import AlignReport as AlignReport
from faceaug.faces.check import (
    AlignmentCheck as AlignmentCheck,
    check_alignment as check_alignment,
    check_pictures as check_pictures,
)
from faceaug.faces.face import Face as Face
from faceaug.faces.finder import FaceFinder as FaceFinder
from faceaug.faces.landmarks_only import LandmarkReport as LandmarkReport, find_landmarks as find_landmarks

__all__ = [
    "AlignOptions",
    "AlignReport",
    "AlignmentCheck",
    "Face",
    "FaceFinder",
    "LandmarkReport",
    "align_folder",
    "check_alignment",
    "check_pictures",
    "find_landmarks",
    "open_aligned",
]

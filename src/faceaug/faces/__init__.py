"""Faces in photos: aligned to a template, and how the faces of a set are framed. Needs no torch."""

from faceaug.faces.align import align_folder as align_folder
from faceaug.faces.align_options import AlignOptions as AlignOptions
from faceaug.faces.align_report import AlignReport as AlignReport
from faceaug.faces.check import (
    AlignmentCheck as AlignmentCheck,
    check_alignment as check_alignment,
    check_pictures as check_pictures,
)

__all__ = ["AlignOptions", "AlignReport", "AlignmentCheck", "align_folder", "check_alignment", "check_pictures"]

"""Faces in photos hidden beyond recognition, or replaced by synthetic ones.

A photo -> all faces, doubtful ones included -> an ellipse around each -> blur, mosaic, fill, or a synthetic face -> a
picture without EXIF, table and report. Only ``synthetic`` loads torch.
"""

from faceaug.deidentify.deidentify_report import DeidentifyReport as DeidentifyReport
from faceaug.deidentify.folder import deidentify_folder as deidentify_folder
from faceaug.deidentify.hiding import hide_faces as hide_faces
from faceaug.deidentify.options import DeidentifyOptions as DeidentifyOptions

__all__ = ["DeidentifyOptions", "DeidentifyReport", "deidentify_folder", "hide_faces"]

"""Faces in photos: where they are, how they are turned, and five landmarks each. Needs no torch.

A photo -> views (whole, turned, tiles) -> YuNet (candidates) -> overlaps dropped -> O-Net on each levelled crop and its
mirror image (landmarks, and whether it is a face) -> faces, largest first.
"""

from faceaug.faces.face import Face as Face
from faceaug.faces.finder import FaceFinder as FaceFinder

__all__ = ["Face", "FaceFinder"]

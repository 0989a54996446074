"""A cloud function that makes faces: deploy this folder as it stands."""

from faceaug.serve.function import generate

__all__ = ["generate"]

"""Faces over HTTP: a page with a button, its API, and the same as a cloud function."""

from faceaug.serve.engine import Busy, Engine
from faceaug.serve.faces import Answer, FaceService
from faceaug.serve.query import FaceRequest, ParameterError, parse_query

__all__ = ["Answer", "Busy", "Engine", "FaceRequest", "FaceService", "ParameterError", "parse_query"]

"""Faces over HTTP: a web page, its API, and the same API as a cloud function."""

from faceaug.serve.engine import Busy, Engine
from faceaug.serve.faces import Answer, FaceService
from faceaug.serve.query import FaceRequest, ParameterError, parse_query

__all__ = ["Answer", "Busy", "Engine", "FaceRequest", "FaceService", "ParameterError", "parse_query"]

"""What ``dataset.json`` of an expanded folder says: everything that decides its bytes, and what came of it."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from faceaug.data.image import WHITE, load_cv2
from faceaug.mix.blocks import FileFormat
from faceaug.mix.mixture import Mixture
from faceaug.mix.report import ExpandReport

_TABLE = 2  # version of the row format; all rows of a folder have the same


def run_identity(dataset: Mixture, format: FileFormat) -> dict[str, Any]:
    """Everything that must be equal for an unfinished folder to be continued."""
    used = dataset.plan.used.tolist()
    names = [dataset.real.name(row) for row in used]
    known = dataset.real.annotations
    tables = hashlib.sha256(json.dumps(dataset.real.classes).encode())
    for values in known.take(dataset.plan.used).arrays().values():
        tables.update(np.ascontiguousarray(values).tobytes())
    return {
        "command": "expand",
        "table": _TABLE,
        "folder": str(dataset.real.root or ""),
        "format": format,
        "epoch": dataset.epoch,
        **dataset.made_with,
        **({} if dataset.real.ground == WHITE else {"ground": list(dataset.real.ground)}),
        "names_sha256": hashlib.sha256(json.dumps(names).encode()).hexdigest(),
        "pictures_sha256": hashlib.sha256(json.dumps(dataset.real.stamps(used)).encode()).hexdigest(),
        "tables_sha256": tables.hexdigest(),
        "rows_sha256": hashlib.sha256(dataset.plan.rows.tobytes()).hexdigest(),
        "patterns_sha256": hashlib.sha256(dataset.plan.patterns.tobytes()).hexdigest(),
        "weights_sha256": hashlib.sha256(dataset.weights.tobytes()).hexdigest(),
    }


def run_document(dataset: Mixture, report: ExpandReport, run: dict[str, Any]) -> dict[str, Any]:
    """The content of ``dataset.json``."""
    document = {
        "run": run,
        "sizes": dict(report.sizes),
        "rejected": dataset.rejected,
        "looked_at": report.looked_at,
        "classes": list(dataset.real.classes),
        "versions": _versions(),
    }
    if report.appendix is not None:
        document[report.appendix.name] = report.appendix.document
    return document


def _versions() -> dict[str, str]:
    # Versions of modules, not of packages: several packages provide the module of OpenCV.
    modules = {"numpy": np, "torch": torch, "opencv": load_cv2()}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {"faceaug": version("faceaug"), "python": platform.python_version()} | versions

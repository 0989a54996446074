"""Labels under suspicion: where the table of a folder disagrees with what is to be seen, and people under wrong names.

::

    pictures -> what the classifier sees -> a head for each attribute, out of fold -> disagreements -> proposals
    pictures -> embeddings (an extra) -> identities that mix people, one person under two names
    tables ----> people in two partitions, attributes that go together

Nothing is changed: what is found is proposed.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceaug.labels.check import check_labels as check_labels
    from faceaug.labels.report import LabelReport as LabelReport

_MODULE = {"check_labels": "faceaug.labels.check", "LabelReport": "faceaug.labels.report"}
__all__ = list(_MODULE)


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module 'faceaug.labels' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE[name]), name)
    globals()[name] = value
    return value

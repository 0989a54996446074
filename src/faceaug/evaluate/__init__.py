"""Is a generator faithful, diverse, and no copying machine? Figures with a control beside each.

::

    real faces --cut as the model says--+--> features --> distances, neighbours --> figures, controls
    source -----------generate----------+--> hashes, pixels -----------------------> copies
"""

from faceaug.evaluate.evaluation import evaluate_source
from faceaug.evaluate.features import Extractor, describe, open_extractor
from faceaug.evaluate.kernel import KernelDistance, kernel_distance
from faceaug.evaluate.neighbours import Balls, Meeting, meet, surround
from faceaug.evaluate.report import EvaluationReport, Figures, Memorisation, Subject

__all__ = [
    "Balls",
    "EvaluationReport",
    "Extractor",
    "Figures",
    "KernelDistance",
    "Meeting",
    "Memorisation",
    "Subject",
    "describe",
    "evaluate_source",
    "kernel_distance",
    "meet",
    "open_extractor",
    "surround",
]

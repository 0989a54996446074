"""Evaluates generators: fidelity, diversity, memorisation and usefulness, each with a control on real faces.

::

    real faces --the model's crop and size--+--> features --> distances, neighbours --> figures, controls
    source -------------generate------------+--> hashes, pixels -----------------------> copies
    real + copies + generated --> four arms, each training one small classifier --> usefulness
"""

from faceaug.evaluate.comparison_classifier import Schooling
from faceaug.evaluate.evaluation import evaluate_memorisation, evaluate_source
from faceaug.evaluate.features import Extractor, describe, open_extractor
from faceaug.evaluate.kernel import KernelDistance, kernel_distance
from faceaug.evaluate.neighbours import Balls, Meeting, meet, surround
from faceaug.evaluate.options import EvaluationOptions, Recipes, UsefulnessOptions
from faceaug.evaluate.report import EvaluationReport, Figures, Memorisation, Subject
from faceaug.evaluate.usefulness import evaluate_usefulness
from faceaug.evaluate.usefulness_report import UsefulnessReport

__all__ = [
    "Balls",
    "EvaluationOptions",
    "EvaluationReport",
    "Extractor",
    "Figures",
    "KernelDistance",
    "Meeting",
    "Memorisation",
    "Recipes",
    "Schooling",
    "Subject",
    "UsefulnessOptions",
    "UsefulnessReport",
    "describe",
    "evaluate_memorisation",
    "evaluate_source",
    "evaluate_usefulness",
    "kernel_distance",
    "meet",
    "open_extractor",
    "surround",
]

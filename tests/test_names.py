"""Names that more than one room once used for different things are defined once in the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import faceaug

SOURCE = Path(faceaug.__file__).parent
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


def definitions(body: list[ast.stmt]) -> set[str]:
    """Names of the classes, functions and variables of a module, without imports."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return found


@pytest.mark.parametrize(
    "name", ["Thresholds", "Target", "preset", "describe", "Progress", "Link", "RealFaces", "SYNTHETIC"]
)
def test_a_name_means_one_thing_in_the_whole_package(name: str) -> None:
    homes = [str(path.relative_to(SOURCE)) for path, tree in TREES.items() if name in definitions(tree.body)]
    assert len(homes) == 1, homes

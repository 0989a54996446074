"""Every public name has an example in its docstring, and every example in the package gives what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import faceaug
from faceaug.augment import registry

PACKAGE = Path(faceaug.__file__).parent
ROOMS = ("faceaug", "faceaug.augment", "faceaug.faces", "faceaug.synthesize", "faceaug.serve")


def public_names() -> dict[str, object]:
    """Every public class and function, by name."""
    found = {name: getattr(importlib.import_module(room), name) for room in ROOMS for name in _names(room)}
    return {name: value for name, value in found.items() if inspect.isclass(value) or inspect.isfunction(value)}


def _names(room: str) -> list[str]:
    return list(importlib.import_module(room).__all__)


def examples_of(value: object) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(inspect.getdoc(value) or "")


def modules_with_examples() -> list[str]:
    with_examples = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text("utf-8")]
    return [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in with_examples]


def test_every_public_name_has_an_example() -> None:
    without = {name for name, value in public_names().items() if not examples_of(value)}
    assert without == set()


@pytest.mark.parametrize("module", modules_with_examples())
def test_the_examples_of_a_module_give_what_they_say(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_known", dict(registry._known))  # an example may define a transform
    failures = []
    tests = [test for test in doctest.DocTestFinder().find(importlib.import_module(module)) if test.examples]
    assert tests
    for number, test in enumerate(tests):
        folder = tmp_path / str(number)  # examples may write files
        folder.mkdir()
        monkeypatch.chdir(folder)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(test, out=failures.append)
    assert not failures, "".join(failures)

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

import faceaug

SOURCE = Path(faceaug.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
GRAB_BAGS = {"utils", "util", "helpers", "helper", "common", "core", "base", "misc"}
Function = ast.FunctionDef | ast.AsyncFunctionDef
# Functions of more than 60 lines, with the lines they may have. Each has its reason; a shorter one leaves this list.
LONG: dict[str, int] = {}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def where(path: Path, node: ast.stmt | ast.expr | ast.excepthandler) -> str:
    return f"{path.relative_to(SOURCE)}:{node.lineno}"


def public_definitions(body: list[ast.stmt]) -> list[Function | ast.ClassDef]:
    found: list[Function | ast.ClassDef] = []
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            found.append(node)
            if isinstance(node, ast.ClassDef):
                found += public_definitions(node.body)
    return found


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 15


def test_no_name_is_a_grab_bag() -> None:
    names = {part for path in SOURCE.rglob("*") for part in (path.stem,) if "__pycache__" not in path.parts}
    assert names & GRAB_BAGS == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400
    assert ast.get_docstring(tree(path)), "no docstring"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_functions_are_short_and_public_ones_described(path: Path) -> None:
    module = tree(path)
    room = path.relative_to(SOURCE).as_posix()
    long = [
        f"{where(path, node)} {node.name}: {_lines(node)} lines"
        for node in ast.walk(module)
        if isinstance(node, Function) and _lines(node) > LONG.get(f"{room} {node.name}", 60)
    ]
    silent = [
        f"{where(path, node)} {node.name}" for node in public_definitions(module.body) if not ast.get_docstring(node)
    ]
    assert long == []
    assert silent == []


def test_every_exception_is_still_needed() -> None:
    found = {
        f"{path.relative_to(SOURCE).as_posix()} {node.name}": _lines(node)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, Function)
    }
    assert {name for name in LONG if found.get(name, 0) > 60} == LONG.keys()


def _lines(node: Function) -> int:
    """Lines of a function, signature included, without its docstring: a long explanation is no fault."""
    first = node.body[0]
    described = ast.get_docstring(node) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if described else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_is_asserted_caught_blindly_or_shared_by_default(path: Path) -> None:
    comments = _comments(path)
    faults = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Assert):
            faults.append(f"{where(path, node)}: assert vanishes under python -O; raise an error")
        elif isinstance(node, ast.ExceptHandler) and _is_broad(node) and node.lineno not in comments:
            faults.append(f"{where(path, node)}: a broad except without its reason on the line")
        elif isinstance(node, Function | ast.Lambda):
            defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
            faults += [
                f"{where(path, d)}: a mutable default is shared by all calls" for d in defaults if _is_mutable(d)
            ]
    assert faults == []


def _is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    if caught is None:
        return True
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    reraises = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
    return (
        any(isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in kinds) and not reraises
    )


def _is_mutable(default: ast.expr) -> bool:
    if isinstance(default, ast.Call) and isinstance(default.func, ast.Name):
        return default.func.id in {"list", "dict", "set", "bytearray"}
    return isinstance(default, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _comments(path: Path) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return {token.start[0] for token in tokens if token.type == tokenize.COMMENT}

"""No module of the package takes part in an import circle, imports for type checkers and late imports counted."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import faceaug

SOURCE = Path(faceaug.__file__).parent
MODULES = {
    ".".join(("faceaug", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}


def imported(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """The package's modules that one of them imports, wherever the statement stands."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] + "." if node.level else ""
            source = (above + (node.module or "")).rstrip(".")
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                if submodule in modules or source in modules:
                    yield submodule if submodule in modules else source


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of more than one module that reach each other (Tarjan 1972), and modules that import themselves."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for target in sorted(arrows[module]):
            if target not in number:
                visit(target)
                lowest[module] = min(lowest[module], lowest[target])
            elif target in stack:
                lowest[module] = min(lowest[module], number[target])
        if lowest[module] == number[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1 or module in arrows[module]:
                found.append(sorted(group))

    for module in sorted(arrows):
        if module not in number:
            visit(module)
    return found


def test_circles_are_found(tmp_path: Path) -> None:
    texts = {
        "faceaug.one": "def late():\n    from faceaug.two import x\n",
        "faceaug.two": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from faceaug import three\n",
        "faceaug.three": "import faceaug.one\n",
        "faceaug.four": "from faceaug.one import y\n",
    }
    modules = {name: tmp_path / f"{name}.py" for name in texts}
    for name, text in texts.items():
        modules[name].write_text(text)
    arrows = {name: set(imported(name, path, modules)) for name, path in modules.items()}
    assert circles(arrows) == [["faceaug.one", "faceaug.three", "faceaug.two"]]


def test_no_module_is_part_of_an_import_circle() -> None:
    arrows = {name: set(imported(name, path, MODULES)) for name, path in MODULES.items()}
    assert sum(map(len, arrows.values())) > 300, "imports were not read"
    assert circles(arrows) == []

"""Who may import whom: arrows run down only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TENSORFLOW = {"tensorflow", "keras", "tf_keras"}
UNSAFE = {"pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal"}
TREES = {
    "tfplus": TENSORFLOW | UNSAFE | {"tfplus_export", "tfplus_agent"},
    "device_agent/tfplus_agent": TENSORFLOW | UNSAFE | {"tfplus_export"},
    "export/tfplus_export": UNSAFE | {"tfplus_agent"},
}


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Top-level packages that a file imports anywhere, also inside functions, with line numbers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value.partition(".")[0], node.lineno


@pytest.mark.parametrize("tree", TREES)
def test_imports_run_down_only(tree: str) -> None:
    files = sorted((ROOT / tree).rglob("*.py"))
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in files
        for name, line in imported(ast.parse(file.read_text("utf-8")))
        if name in TREES[tree]
    ]
    assert wrong == []


def test_imports_are_found_wherever_they_hide() -> None:
    source = (
        "import a.b, c\n"
        "from d.e import f\n"
        "def g():\n"
        "    import h\n"
        "    importlib.import_module('i.j')\n"
        "from . import k\n"
    )
    assert [n for n, _ in imported(ast.parse(source))] == ["a", "c", "d", "h", "i"]

"""Prints how large the rooms of the source are: files in a folder, floors, cycles, long files.

usage: scripts/house-numbers [COMMIT ...] [--folders]

A room is a folder of a package. Its floors are the modules of the longest chain of imports inside
it. An import between rooms lies on a cycle when the way back exists as well: there is then no order
in which they could be read. Generated code is left out.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("tfplus", "device_agent/tfplus_agent", "export/tfplus_export")
LONG_LINES = 300


@dataclass(frozen=True)
class Module:
    """One file: its folder, its lines, our modules that it imports, its functions."""

    folder: str
    lines: int
    imports: frozenset[str]
    public_functions: int
    with_example: int


def modules(root: Path) -> dict[str, Module]:
    """Dotted name → module, of all three packages."""
    trees: dict[str, tuple[str, int, ast.Module]] = {}
    for package in PACKAGES:
        base = root / package
        for file in sorted(base.rglob("*.py")):
            if "_pb2" in file.name:
                continue
            text = file.read_text("utf-8")
            inside = file.relative_to(base.parent)
            name = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
            trees[name] = ".".join(inside.parent.parts), text.count("\n"), ast.parse(text)
    found: dict[str, Module] = {}
    for name, (folder, lines, tree) in trees.items():
        functions = list(_public_functions(tree))
        found[name] = Module(
            folder=folder,
            lines=lines,
            imports=frozenset(_imports(tree, trees.keys())) - {name},
            public_functions=len(functions),
            with_example=sum("Example" in (ast.get_docstring(f) or "") for f in functions),
        )
    return found


def _imports(tree: ast.AST, known: Set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield from {full if full in known else node.module} & known
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & known


def _public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.iter_child_nodes(tree):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public_functions(node)


def floors(own: dict[str, Module]) -> int:
    """Modules in the longest chain of imports among those given; an import back counts for none."""
    heights: dict[str, int] = {}

    def height(name: str, above: frozenset[str]) -> int:
        if name not in heights:
            path = above | {name}
            below = (own[name].imports & own.keys()) - path
            heights[name] = 1 + max((height(n, path) for n in sorted(below)), default=0)
        return heights[name]

    return max((height(name, frozenset()) for name in sorted(own)), default=0)


def on_a_cycle(found: dict[str, Module]) -> set[tuple[str, str]]:
    """Pairs of rooms: the first imports the second, and the second reaches the first.

    A module at a package's root is a room by itself: that is where a program begins.
    """
    room = {n: n if m.folder.count(".") == 0 else m.folder for n, m in found.items()}
    edges: dict[str, set[str]] = defaultdict(set)
    for name, module in found.items():
        edges[room[name]] |= {room[n] for n in module.imports} - {room[name]}

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = edges.get(ahead.pop(), set()) - seen
            seen |= new
            ahead += new
        return seen

    return {(a, b) for a, below in edges.items() for b in below if a in reached(b)}


def numbers(found: dict[str, Module]) -> list[tuple[str, str]]:
    """What is told of one state of the source: label → value."""
    folders: dict[str, dict[str, Module]] = defaultdict(dict)
    for name, module in found.items():
        folders[module.folder][name] = module
    fullest = max(folders, key=lambda f: len(folders[f]))
    heights = {folder: floors(own) for folder, own in folders.items()}
    highest = max(heights, key=lambda f: heights[f])
    longest = max(found, key=lambda n: found[n].lines)
    lines = sorted(module.lines for module in found.values() if module.lines > 1)
    public = sum(module.public_functions for module in found.values())
    return [
        ("files", str(len(found))),
        ("folders", str(len(folders))),
        ("most files in a folder", f"{len(folders[fullest])} ({fullest})"),
        ("folders of more than 15", str(sum(len(own) > 15 for own in folders.values()))),
        ("most floors in a folder", f"{heights[highest]} ({highest})"),
        ("imports on a cycle of rooms", str(len(on_a_cycle(found)))),
        ("longest file, lines", f"{found[longest].lines} ({longest})"),
        (f"files over {LONG_LINES} lines", str(sum(n > LONG_LINES for n in lines))),
        ("median file, lines", str(lines[len(lines) // 2])),
        (
            "public functions with an example",
            f"{sum(m.with_example for m in found.values())} of {public}",
        ),
    ]


def checked_out(commit: str, folder: Path) -> Path:
    """Unpacks a commit's packages into a folder of its own."""
    packed = subprocess.run(
        ["git", "archive", commit, *PACKAGES], cwd=ROOT, capture_output=True, check=True
    ).stdout
    target = folder / commit.replace("/", "_")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(target, filter="data")
    return target


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, usage=argparse.SUPPRESS)
    parser.add_argument("commits", nargs="*", metavar="COMMIT")
    parser.add_argument("--folders", action="store_true", help="list every folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        states = {c: modules(checked_out(c, Path(folder))) for c in asked.commits}
    states = states or {"here": modules(ROOT)}
    columns = [dict(numbers(found)) for found in states.values()]
    rows = [("", *states), *((label, *(c[label] for c in columns)) for label in columns[0])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    if asked.folders:
        for state, found in states.items():
            _print_folders(state, found)


def _print_folders(state: str, found: dict[str, Module]) -> None:
    folders: dict[str, dict[str, Module]] = defaultdict(dict)
    for name, module in found.items():
        folders[module.folder][name] = module
    print(f"\n{state}: files, floors, longest file")
    for folder, own in sorted(folders.items(), key=lambda item: -len(item[1])):
        longest = max(module.lines for module in own.values())
        print(f"{len(own):4d} {floors(own):3d} {longest:4d}  {folder}")


if __name__ == "__main__":
    main()

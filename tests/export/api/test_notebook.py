"""docs/notebook.ipynb, its cells one after the other, and the blocks of docs/python.md compile."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"


def cells() -> list[str]:
    book = json.loads((DOCS / "notebook.ipynb").read_text("utf-8"))
    return ["".join(c["source"]) for c in book["cells"] if c["cell_type"] == "code"]


def test_nothing_of_a_run_is_kept_in_it() -> None:
    book = json.loads((DOCS / "notebook.ipynb").read_text("utf-8"))
    assert all(not c["outputs"] for c in book["cells"] if c["cell_type"] == "code")


def test_the_page_is_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text("utf-8"), re.S)
    assert len(blocks) == 5
    for block in blocks:
        ast.parse(block)


@pytest.mark.slow
def test_it_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(cells())],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'accuracy': " in done.stdout

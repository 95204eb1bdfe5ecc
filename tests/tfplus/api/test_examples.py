"""The examples in the docstrings of the Python API, run as they stand."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfplus
from tfplus.model_file.artifact import Artifact

# Their examples need TensorFlow, or an agent: tests/export/api and tests/agent/server run them.
ELSEWHERE = {"export", "Agent"}


def public() -> list[tuple[str, Any]]:
    """Every class and function of the API, and the methods of `Model` that a user calls."""
    found = [(n, getattr(tfplus, n)) for n in tfplus.__all__ if n[:2] != "__"]
    found += [(f"Model.{n}", v) for n, v in vars(tfplus.Model).items() if n[0] != "_"]
    return found


# What has nothing to show beside what another example shows.
WITHOUT = {"ExportReport", "TfplusError", "Model", "Model.manifest", "Model.close", "Model.load"}
WITHOUT |= {"Model.load_weights"}


@pytest.mark.parametrize("name", [n for n, _ in public()])
def test_what_a_user_calls_has_an_example(name: str) -> None:
    text = inspect.getdoc(dict(public())[name]) or ""
    assert (name in WITHOUT) != ("Examples:" in text)


@pytest.fixture
def globs(model: Artifact, tmp_path: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.random((40, 8, 8, 1), np.float32)
    return {"path": model.path, "folder": tmp_path, "x": x, "y": np.arange(40) % 10}


@pytest.mark.parametrize("home", ["callbacks", "history", "loading", "model"])
def test_examples(globs: dict[str, Any], home: str) -> None:
    module = importlib.import_module(f"tfplus.api.{home}")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    tests = doctest.DocTestFinder(exclude_empty=True).find(module, globs={"tfplus": tfplus})
    for test in tests:
        test.globs.update(globs)
        runner.run(test)
    assert runner.tries > 0
    assert runner.failures == 0

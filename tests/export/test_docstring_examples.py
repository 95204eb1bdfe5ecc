"""The examples of what a user of the Python API calls are true."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path

import pytest

from tfplus_export.optimizers import choice
from tfplus_export.parity import policy
from tfplus_export.pipeline import api, precheck, sizing
from tfplus_export.sources import source
from tfplus_export.targets import targets
from tfplus_export.train_step import trainable

CALLED: tuple[Callable[..., object], ...] = (
    *(api.export, api.export_sub_model, sizing.fit_batch, sizing.preview_step, precheck.check),
    *(trainable.select, source.load, targets.pairs, choice.choose, policy.next_check),
)


@pytest.mark.parametrize("function", CALLED, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_its_examples(
    function: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finder = doctest.DocTestFinder(recurse=False)
    (examples,) = finder.find(function, globs={})
    assert examples.examples
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    told: list[str] = []
    runner.run(examples, out=told.append)
    assert not runner.failures, "".join(told)

"""JSON that any parser reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tfplus.cli.output import print_json


@dataclass
class Sample:
    path: Path
    values: tuple[float, ...]


def test_print_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({1: Sample(Path("a/b"), (1.5, float("nan"), float("inf"))), "none": None})
    printed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert printed == {"1": {"path": "a/b", "values": [1.5, None, None]}, "none": None}

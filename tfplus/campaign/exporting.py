"""Models of the zoo as files: exported where they are missing, by the installed exporter."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfplus.campaign.planning.plan import Model
from tfplus.errors import ExportError, MissingExtraError, UsageError
from tfplus.system import child_process

_TIMEOUT_S = 3600.0
Export = Callable[[Model, Path], None]
"""Writes a model's file; raises ExportError where it cannot be exported."""


@dataclass(frozen=True)
class ZooCost:
    """What is known of a model before it is exported.

    Attributes:
      parameters: trainable ones.
      forward_flops: of one sample.
      step_flops: of one sample in a training step.
    """

    parameters: int
    forward_flops: int
    step_flops: int


def costs(names: Sequence[str]) -> Mapping[str, ZooCost]:
    """Asks the zoo for its models; this also finds a name that it does not have.

    Raises:
      UsageError: the zoo has no model of a name.
      MissingExtraError: the exporter is not installed.
    """
    if not names:
        return {}
    done = _exporter("models", *names, "--json")
    if done.returncode:
        raise UsageError(_said(done))
    rows = json.loads(done.stdout[done.stdout.index("{") :])["models"]
    return {
        row["name"]: ZooCost(row["parameters"], row["forward_flops"], row["step_flops"])
        for row in rows
    }


def export(model: Model, path: Path) -> None:
    """Exports one model of the zoo.

    Raises:
      ExportError: it cannot be exported.
      MissingExtraError: the exporter is not installed.
    """
    arguments = ["export", f"zoo:{model.name}", "-o", str(path)]
    arguments += ["--batch-size", str(model.batch_size)]
    if model.input_shape is not None:
        arguments += ["--input-shape", ",".join(map(str, model.input_shape))]
    if model.classes is not None:
        arguments += ["--classes", str(model.classes)]
    if model.lowering:
        arguments += ["--tuning", model.lowering]
    if model.accelerated:
        arguments += ["--accelerator", "gpu"]
    done = _exporter(*arguments)
    if done.returncode or not path.is_file():
        raise ExportError(_said(done))


def _exporter(*arguments: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError.of("a campaign with models that are not exported yet", "export")
    try:
        return child_process.run("tfplus", *arguments, timeout_s=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ExportError(f"{arguments[1]}: did not end within {_TIMEOUT_S:g} s") from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    last = errors or lines[-1:] or ["it said nothing"]
    return last[0] if errors else f"{child_process.how_it_ended(done.returncode)}: {last[0]}"

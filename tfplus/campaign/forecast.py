"""What each cell of a plan needs before it runs: memory, and a rough time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfplus.campaign.exporting import ZooCost
from tfplus.campaign.plan import TRAIN, Cell, Model, Plan
from tfplus.errors import ArtifactError
from tfplus.model_file import artifact
from tfplus.system import memory

# For a first guess alone; the run itself tells how long what is left takes.
_FLOPS_PER_SECOND = 1e10
_PROCESS_S = 2.0
_EXPORT_S = 40.0
_BYTES_PER_ITERATION = 40


@dataclass(frozen=True)
class Forecast:
    """What one cell needs.

    Attributes:
      cell: the cell.
      flops: of one iteration.
      memory_bytes: of the process, at its peak as the export estimates it; where there is no file
        yet, of weights and gradients alone, which is the least that it can be.
      is_exact: whether a file told.
      repetition_s: a guess of the time of one repetition.
      fits: whether this machine has the memory.
    """

    cell: Cell
    flops: int
    memory_bytes: int
    is_exact: bool
    repetition_s: float
    fits: bool


def path_of(model: Model, folder: Path) -> Path:
    """Where a model's file lies or will lie."""
    return Path(model.name) if model.is_file else folder / model.file_name


def missing(plan: Plan, folder: Path) -> list[Model]:
    """The models that have no file yet."""
    return [m for m in plan.models if not path_of(m, folder).is_file()]


def of(
    plan: Plan,
    folder: Path,
    costs: Mapping[str, ZooCost],
    total_bytes: int | None = None,
) -> list[Forecast]:
    """A forecast for each cell.

    Args:
      plan: of the cells.
      folder: of exported models.
      costs: of the models of the zoo that have no file there.
      total_bytes: memory of the machine; None to ask it.
    """
    limit = memory.total_bytes() if total_bytes is None else total_bytes
    known = {model: _needs(model, folder, costs) for model in plan.models}
    found: list[Forecast] = []
    for cell in plan.cells:
        train, infer, needed, is_exact = known[cell.model]
        flops = train if cell.phase == TRAIN else infer
        seconds = _PROCESS_S + plan.iterations * flops / (_FLOPS_PER_SECOND * cell.threads)
        found.append(Forecast(cell, flops, needed, is_exact, seconds, needed <= limit))
    return found


def duration_s(plan: Plan, forecasts: list[Forecast], exports: int) -> float:
    """A guess of the whole time, in seconds."""
    reference = next(f.repetition_s for f in forecasts if f.cell == plan.reference)
    block = sum(f.repetition_s for f in forecasts if f.fits) + 2 * reference
    return plan.repetitions * block + exports * _EXPORT_S


def disk_bytes(plan: Plan, forecasts: list[Forecast]) -> int:
    """What the result takes on the disk, roughly."""
    rows = plan.runs * plan.iterations * _BYTES_PER_ITERATION
    models = {f.cell.model: f.memory_bytes for f in forecasts if not f.is_exact}
    return rows + sum(models.values())


def _needs(model: Model, folder: Path, costs: Mapping[str, ZooCost]) -> tuple[int, int, int, bool]:
    path = path_of(model, folder)
    if path.is_file():
        manifest = artifact.read(path).manifest
        state = sum(v.size_bytes for v in manifest.variables)
        peaks = [t.peak_memory_bytes for t in manifest.targets]
        # A forward pass is a third of a step, of its products.
        return (
            manifest.flops_per_step,
            manifest.flops_per_step // 3,
            max(peaks, default=2 * state),
            bool(peaks),
        )
    cost = costs.get(model.name)
    if cost is None:
        raise ArtifactError(f"{path}: no such file")
    batch = model.batch_size
    return cost.step_flops * batch, cost.forward_flops * batch, cost.parameters * 8, False

"""What each cell of a plan needs before it runs: memory, and a rough time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfplus.benchmark.repetition import ENERGY, INTERFERENCE
from tfplus.campaign.exporting import ZooCost
from tfplus.campaign.planning import schedule
from tfplus.campaign.planning.plan import TRAIN, Cell, Model, Plan
from tfplus.errors import ArtifactError
from tfplus.model_file import artifact

# For a first guess alone; the run itself tells how long what is left takes.
_FLOPS_PER_SECOND = 1e10
_PROCESS_S = 2.0
_EXPORT_S = 40.0
_BYTES_PER_ITERATION = 40
# Beside a co-runner without a limit: four blocks of each of three kinds, a second each.
_INTERFERENCE_S = 12.0


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
    """

    cell: Cell
    flops: int
    memory_bytes: int
    is_exact: bool
    repetition_s: float


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
) -> list[Forecast]:
    """A forecast for each cell.

    Args:
      plan: of the cells.
      folder: of exported models.
      costs: of the models of the zoo that have no file there.
    """
    found: list[Forecast] = []
    models = dict.fromkeys(cell.model for cell in plan.cells)
    known = {model: _needs(model, folder, costs) for model in models}
    for cell in plan.cells:
        train, infer, needed, is_exact = known[cell.model]
        flops = train if cell.phase == TRAIN else infer
        seconds = _PROCESS_S + plan.iterations * flops / (_FLOPS_PER_SECOND * cell.threads)
        if plan.seconds:
            seconds = min(seconds, _PROCESS_S + plan.seconds)
        found.append(Forecast(cell, flops, needed, is_exact, seconds))
    return found


def duration_s(plan: Plan, forecasts: Sequence[Forecast], exports: int) -> float:
    """A guess of the whole time, in seconds; devices run beside one another."""
    guessed = {f.cell: f.repetition_s for f in forecasts}
    reference = next(
        (f.repetition_s for f in forecasts if f.cell.model == plan.reference.model), _PROCESS_S
    )
    longest = 0.0
    for device in plan.devices:
        runs = (one for one in schedule.runs(plan, device) if one.block == 0)
        block = 0.0
        for one in runs:
            if one.kind == INTERFERENCE:
                block += _PROCESS_S + (plan.seconds or _INTERFERENCE_S)
                continue
            block += guessed.get(one.cell, reference)
            block += plan.idle_s if one.kind == ENERGY else 0.0
        longest = max(longest, block)
    return plan.repetitions * longest + exports * _EXPORT_S


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

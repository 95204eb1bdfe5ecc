"""`--memory-budget`: the largest batch whose step fits into so much memory."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus.errors import ExportError
from tfplus_export.costs.memory import StepMemory, peak_bytes
from tfplus_export.costs.preview import Preview

# Beyond, a larger batch makes a step no faster for each sample.
MOST_SAMPLES = 1024


def worst_peak(memory: StepMemory, runtimes: Sequence[str]) -> int:
    """Estimated peak under the runtime that takes most."""
    return max(peak_bytes(memory, runtime) for runtime in runtimes)


def choose_batch(preview: Preview, runtimes: Sequence[str], limit_bytes: int) -> int:
    """The largest batch size, at most `MOST_SAMPLES`, whose estimated peak is within a limit.

    Args:
      preview: of the step.
      runtimes: distributions of the runtimes that are to run it.
      limit_bytes: the limit.

    Raises:
      ExportError: none is; the message says what one sample needs.
    """
    batch = preview.largest_batch(
        lambda memory: worst_peak(memory, runtimes) <= limit_bytes, MOST_SAMPLES
    )
    if not batch:
        least = worst_peak(preview.memory(1), runtimes)
        raise ExportError(
            f"no batch fits into {_shown(limit_bytes)}: a step on one sample needs about "
            f"{_shown(least)} at its peak. Freeze layers (--freeze, --train), or choose a smaller "
            "model or input"
        )
    return batch


def tensor_limit_bytes(
    kept: StepMemory, runtimes: Sequence[str], limit_bytes: int | None
) -> int | None:
    """What a limit of the process leaves for the step's tensors; None where there is no limit.

    Args:
      kept: what the process takes beside them.
      runtimes: distributions of the runtimes that are to run it.
      limit_bytes: of the process.
    """
    if limit_bytes is None:
        return None
    return max(limit_bytes - worst_peak(kept, runtimes), 0)


def check_batch(
    memory: StepMemory, runtimes: Sequence[str], limit_bytes: int, batch_size: int
) -> None:
    """Checks that a converted step is within a limit.

    Raises:
      ExportError: it is not.
    """
    peak = worst_peak(memory, runtimes)
    if peak > limit_bytes:
        raise ExportError(
            f"--batch-size {batch_size} needs about {_shown(peak)} at its peak, also where tensors "
            f"are computed twice, which is more than {_shown(limit_bytes)}: leave --batch-size out "
            "to have the largest that fits chosen"
        )


def _shown(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB"

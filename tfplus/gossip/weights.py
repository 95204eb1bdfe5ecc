"""How many samples stand behind each slice of a device: what its contribution weighs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tfplus.slices import task_of


def slice_weights(names: Iterable[str], class_counts: Mapping[int, int]) -> dict[str, float]:
    """Weighs slices by the samples that trained them.

    Args:
      names: slice names.
      class_counts: class label → local training samples of it.

    Returns:
      name → weight: all samples for a shared slice, those of its class for a task slice (0 where
      the device holds the branch but has no sample of the class).
    """
    of_class = {str(label): float(count) for label, count in class_counts.items()}
    total = float(sum(of_class.values()))
    return {
        name: total if (task := task_of(name)) is None else of_class.get(task, 0.0)
        for name in names
    }

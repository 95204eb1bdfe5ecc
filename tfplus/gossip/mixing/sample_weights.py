"""How many samples stand behind each slice of a device: what its contribution weighs."""

from __future__ import annotations

from collections.abc import Iterable


def slice_weights(names: Iterable[str], samples: int) -> dict[str, float]:
    """Weighs slices by the samples that trained them: all of the device's, for every slice.

    A softmax trains each branch that the device holds on each sample: the branch of its class
    upwards, the others downwards. A device without a sample of a class still knows what the class
    is not; weighing a branch by its own class alone would throw that away, and classes that no
    device has both of would be told apart by nobody.

    Args:
      names: slice names.
      samples: that the device trains on.

    Returns:
      name → weight.
    """
    return dict.fromkeys(names, float(samples))

"""HeteroFL's nested widths: a device trains the first filters of every layer, a server averages.

After Diao, Ding & Tarokh, "HeteroFL" (ICLR 2021): a weight is averaged over the devices whose width
has it, and the loss is over a device's own classes (their masking). Scaler and static batch
normalization are left out, since the network has no normalization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from papers.device import Device
from papers.networks import headed
from tfplus.tensors.slices import Tensor, Tensors
from tfplus_export.costs import layer_flops

_STEPS = 16


def widths(shape: Sequence[int], held: int, wanted: int) -> tuple[float, float]:
    """Two widths in sixteenths, one twice the other, that cost as much as wanted on average.

    Args:
      shape: of an image.
      held: classes of a device.
      wanted: products of a training step of one sample.
    """
    costs = {n: layer_flops.of_model(headed(shape, held, n / _STEPS)).step for n in range(1, 17)}

    def distance(n: int) -> float:
        return abs((costs[n] + costs[n // 2]) / 2 - wanted)

    best = min(range(2, _STEPS + 1, 2), key=distance)
    return best / _STEPS, best / _STEPS / 2


def first(weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """The first part of every weight along every axis.

    Args:
      weights: of a wider network.
      shapes: of the narrower one's.
    """
    return {n: np.array(weights[n][_corner(shape)]) for n, shape in shapes.items()}


def learn(
    devices: Mapping[str, Device], start: Mapping[str, Tensor], rounds: int
) -> tuple[list[dict[str, Tensors]], list[Tensors]]:
    """Rounds of a server and devices of several widths.

    Args:
      devices: by name.
      start: weights of the widest network.
      rounds: how many.

    Returns:
      Weights of every device, and of the widest network, at the start and after each round.
    """
    shapes = {n: {k: t.shape for k, t in d.weights.items()} for n, d in devices.items()}
    whole: Tensors = {n: np.array(t) for n, t in start.items()}
    course = [{n: first(whole, shapes[n]) for n in devices}]
    wholes = [whole]
    for number in range(1, rounds + 1):
        sums = {n: np.zeros(t.shape) for n, t in whole.items()}
        counts = {n: np.zeros(t.shape) for n, t in whole.items()}
        for name, device in devices.items():
            for key, value in device.train(number, first(whole, shapes[name])).items():
                place = _corner(value.shape)
                sums[key][place] += value * float(len(device.samples))
                counts[key][place] += len(device.samples)
        whole = {
            n: np.where(counts[n] > 0, sums[n] / np.maximum(counts[n], 1), t).astype(np.float32)
            for n, t in whole.items()
        }
        wholes.append(whole)
        course.append({n: first(whole, shapes[n]) for n in devices})
    return course, wholes


def _corner(shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in shape)

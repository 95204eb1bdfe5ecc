"""Rounds of local training and gossip, by the gossip core itself, judged after each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from papers.data import Samples
from papers.device import Device
from tfplus.decoupling import calibration
from tfplus.gossip.mixing.sample_weights import slice_weights
from tfplus.gossip.simulation.setup import Node
from tfplus.gossip.simulation.simulation import simulate
from tfplus.tensors.slices import Contribution, Tensors, average

_SMOOTHED = 3


@dataclass(frozen=True)
class Curve:
    """What a system came to, round by round; the first value is the start's.

    Attributes:
      whole: accuracy of the recomposed model on all classes.
      local: mean over devices of the accuracy on the classes that each knows.
      flops: of a round's training on one device, mean.
      averaged: of a round's average on one device, mean.
      seconds: of local training, all devices and rounds.
      once: of what one device computes before the first round, mean: features.
      calibrated: accuracy of the whole at the end, as `last` says, with the logits of each class
        scaled and shifted for the desk's samples.
    """

    whole: tuple[float, ...]
    local: tuple[float, ...]
    flops: float
    averaged: float
    seconds: float
    once: float = 0.0
    calibrated: float = 0.0


def last(rounds: int) -> int:
    """How many of the last rounds an accuracy at the end is a mean over: a fifth, at most three.

    Of one round alone it goes up and down by points; of a mean over all of a few rounds it would
    fall behind what was learned.
    """
    return max(1, min(_SMOOTHED, rounds // 5))


def learn(
    devices: Mapping[str, Device], neighbours: Mapping[str, tuple[str, ...]], rounds: int
) -> list[dict[str, Tensors]]:
    """Weights of every device after each round.

    Args:
      devices: by name.
      neighbours: of each; none for one that learns alone.
      rounds: how many.
    """
    nodes = {
        name: Node(
            neighbours[name],
            device.weights,
            slice_weights(device.weights, len(device.samples)),
            device.train,
        )
        for name, device in devices.items()
    }
    found = simulate(nodes, rounds=rounds)
    start = {name: device.weights for name, device in devices.items()}
    return [start] + [
        {name: found.rounds[name][number].tensors for name in devices} for number in range(rounds)
    ]


def together(devices: Mapping[str, Device], weights: Mapping[str, Tensors]) -> Tensors:
    """The whole: every slice averaged over the devices that hold it, by their samples."""
    return average([
        Contribution(weights[n], slice_weights(weights[n], len(d.samples)))
        for n, d in devices.items()
    ])  # fmt: skip


def judged(
    devices: Mapping[str, Device],
    neighbours: Mapping[str, tuple[str, ...]],
    course: Sequence[Mapping[str, Tensors]],
    whole: Device,
    test: Samples,
    desk: Samples,
    step_flops: int,
    wholes: Sequence[Tensors] | None = None,
    feature_flops: int = 0,
) -> Curve:
    """Measures every round.

    Args:
      devices: that learned.
      neighbours: of each.
      course: what `learn` returned.
      whole: a device with all classes, which the recomposed model runs on.
      test: held-out samples.
      desk: those that logits are calibrated on.
      step_flops: of a training step of one sample, mean over devices.
      wholes: weights of the whole by round, where they are not the devices' average.
      feature_flops: of what is computed of a sample once.
    """
    local = [
        float(np.mean([d.accuracy(weights[n], test) for n, d in devices.items()]))
        for weights in course
    ]
    if wholes is None:
        wholes = [together(devices, weights) for weights in course]
    every = [whole.accuracy(weights, test) for weights in wholes]
    ends = wholes[len(wholes) - last(len(wholes) - 1) :]
    calibrated = [_calibrated(whole, weights, test, desk) for weights in ends]
    samples = np.mean([len(d.samples) for d in devices.values()])
    epochs = next(iter(devices.values())).epochs
    # A product and a sum for each weight of each contribution that goes in.
    mixed = [
        2.0 * (1 + len(neighbours[n])) * sum(t.size for t in d.weights.values())
        for n, d in devices.items()
    ]
    return Curve(
        tuple(every),
        tuple(local),
        float(samples * epochs * step_flops),
        float(np.mean(mixed)),
        sum(d.seconds for d in devices.values()),
        float(samples * feature_flops),
        float(np.mean(calibrated)),
    )


def _calibrated(whole: Device, weights: Tensors, test: Samples, desk: Samples) -> float:
    found = calibration.fit(whole.logits(weights, desk.x), desk.y)
    logits = whole.logits(weights, test.x) * found.scale + found.shift
    return float((logits.argmax(axis=1) == test.y).mean())

"""What an export declares of the values of a model's inputs, and what it finds at odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfplus.data import guessing
from tfplus.data.fit import misfit
from tfplus.data.spread import Spread, of_codes
from tfplus.model_file.manifest import Output
from tfplus.model_file.preprocessing import InputRange, Preprocessing
from tfplus_export.parity.samples.input_normalization import normalization, normalizations
from tfplus_export.parity.samples.real_data import RealSamples
from tfplus_export.tf_types import Tensor
from tfplus_export.tracing.graph import Graph
from tfplus_export.train_step.training import Training

# Around the mean of what a Normalization was adapted to, in standard deviations.
_NORMAL = 3.0


def ranges(
    graph: Graph, preprocessing: Preprocessing, real: RealSamples | None
) -> tuple[InputRange, ...]:
    """Which values each float input was made for, as far as that is known, the best first.

    Args:
      graph: a traced pass.
      preprocessing: what becomes of stored samples.
      real: the user's own samples, if any.
    """
    scaled = of_codes(preprocessing.scale, preprocessing.offset)
    found: list[InputRange] = []
    for name, tensor in graph.inputs.items():
        if not tensor.dtype.is_floating:
            continue
        if real is not None:
            got, dtype = real.spread(name).got, real.arrays[name].dtype.name
            found.append(InputRange(name, "sample", got.low, got.high, got.mean, got.std, dtype))
        layers = of_layers(name, graph, tensor)
        found += [layers] if layers else []
        found += [InputRange(name, "scale", *scaled)] if scaled else []
    return tuple(found)


def of_layers(name: str, graph: Graph, tensor: Tensor) -> InputRange | None:
    """Which values the first layers are made for, such as Rescaling and Normalization.

    Args:
      name: of the input.
      graph: a traced pass.
      tensor: the input.
    """
    for found in reversed(normalizations(graph, tensor)):
        scale, shift = np.ravel(found.scale), np.ravel(found.shift)
        if np.ptp(scale) or np.ptp(shift):
            continue
        codes = of_codes(float(scale[0]), float(shift[0]))
        if codes:
            low, high = ((end - shift[0]) / scale[0] for end in codes)
            return InputRange(name, "layers", float(low), float(high))
    whole = normalization(graph, tensor)
    # A factor alone may be of anything; a mean that is taken off tells the data's.
    if whole is None or not np.any(whole.shift):
        return None
    mean, std = -whole.shift / whole.scale, np.abs(1.0 / whole.scale)
    return InputRange(
        name,
        "layers",
        low=float(np.min(mean - _NORMAL * std)),
        high=float(np.max(mean + _NORMAL * std)),
        mean=float(np.mean(mean)),
        std=float(np.mean(std)),
    )


def regularization(step: Training, values: Mapping[str, np.ndarray]) -> float | None:
    """What regularizers add to the loss at the initial weights; None where samples matter to it."""
    if step.train_graph.regularized:
        return None
    total = 0.0
    for weight in step.weights:
        if weight.regularizer is not None:
            value = values[weight.name].astype(np.float64)
            total += weight.regularizer.l1 * float(np.abs(value).sum())
            total += weight.regularizer.l2 * float(np.square(value).sum())
    return total


def objections(
    preprocessing: Preprocessing,
    real: RealSamples | None,
) -> tuple[str, ...]:
    """What to tell of samples, scale and first layers that do not fit each other.

    Args:
      preprocessing: with all that is expected.
      real: the user's own samples, if any.
    """
    found: list[str] = []
    for expected in preprocessing.expects:
        if real is not None and expected.source != "sample":
            spread = real.spread(expected.input)
            found += misfit(spread.raw, spread.got, expected)
        elif expected.source == "layers":
            codes = of_codes(preprocessing.scale, preprocessing.offset)
            if codes:
                found += _scaled_twice(preprocessing, codes, expected)
    return tuple(found)


def first_loss(
    first: float,
    outputs: Sequence[Output],
    step: Training,
    real: RealSamples,
    regularization: float | None,
) -> tuple[str, ...]:
    """What to tell of a first loss on the user's own samples that is far above that of guessing.

    Args:
      first: TensorFlow's.
      outputs: of the model.
      step: what it trains by.
      real: the samples.
      regularization: part of the loss.
    """
    widths = {h.output: int(h.at(step.infer_graph).shape[-1]) for h in step.loss_heads}
    targets = {output.target: real.arrays[output.target][:] for output in outputs}
    rows = step.train_graph.batch_size
    guess = guessing.guess_loss(outputs, widths, targets, rows, real.sample_weights)
    return guessing.far_above(first, guess, regularization)


def _scaled_twice(
    preprocessing: Preprocessing, codes: tuple[float, float], expected: InputRange
) -> tuple[str, ...]:
    raw = sorted((end - preprocessing.offset) / preprocessing.scale for end in codes)
    return misfit(_evenly(*raw), _evenly(*codes), expected)


def _evenly(low: float, high: float) -> Spread:
    return Spread(low, high, (low + high) / 2, (high - low) / 12**0.5)

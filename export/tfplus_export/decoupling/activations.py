"""Streaming samples through a model: preferences, moments and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfplus.decoupling.statistics import ClassMeans, Floats, Moments
from tfplus.errors import DataError
from tfplus_export.decoupling.samples import Samples
from tfplus_export.decoupling.structure.kinds import fused
from tfplus_export.decoupling.structure.tail import Tail

# Told what is being done.
Progress = Callable[[str], None]


def measure(
    tail: Tail, samples: Samples, progress: Progress
) -> tuple[Mapping[str, Floats], Mapping[str, Moments]]:
    """Measures every decoupled layer in one pass over the data.

    Args:
      tail: of the model.
      samples: some of each class.
      progress: told how far it is.

    Returns:
      Layer → mean activation [classes, filters], the same for all that a sum joins; and layer →
      moments of what comes before the activation, of the logits, too.

    Raises:
      DataError: an activation is NaN or infinite.
    """
    names = [*tail.decoupled, tail.head.operation.name]
    leaders = [name for name in tail.decoupled if tail.channels.leader(name) == name]
    tensors = [tail.activated(name) for name in leaders]
    tensors += [_before_activation(tail, name) for name in names]
    probe = keras.Model(tail.model.inputs[0], tensors)
    preferences = {
        name: ClassMeans(name, tail.classes, int(tail.made(name).shape[-1])) for name in leaders
    }
    moments = {name: Moments(name, int(tail.made(name).shape[-1])) for name in names}
    done = 0
    for x, places in samples.batches():
        found = outputs(probe, x)
        for name, value in zip(leaders, found, strict=False):
            preferences[name].add(value, places)
        for name, value in zip(names, found[len(leaders) :], strict=True):
            moments[name].add(value)
        done += len(x)
        progress(f"measuring activations: {done} of {len(samples)} samples")
    means = {name: sums.means() for name, sums in preferences.items()}
    return {name: means[tail.channels.leader(name)] for name in tail.decoupled}, moments


def moments_of(model: keras.Model, names: Sequence[str], samples: Samples) -> Mapping[str, Moments]:
    """Moments of what some layers of a model make.

    Raises:
      DataError: a value is NaN or infinite.
    """
    made: Any = [model.get_layer(name).output for name in names]
    probe = keras.Model(model.inputs[0], made)
    found = {n: Moments(n, int(t.shape[-1])) for n, t in zip(names, made, strict=True)}
    for x, _ in samples.batches():
        for name, value in zip(names, outputs(probe, x), strict=True):
            found[name].add(value)
    return found


def accuracy(model: keras.Model, samples: Samples) -> float:
    """Fraction of samples whose class has the largest output.

    Raises:
      DataError: an output is NaN.
    """
    right = 0
    for x, places in samples.batches():
        (found,) = outputs(model, x)
        if np.isnan(found).any():
            raise DataError(
                f"model '{model.name}': its outputs hold NaN: expected finite ones; check the "
                "model's weights and the scale of the data"
            )
        right += int((found.argmax(axis=1) == places).sum())
    return right / len(samples)


def outputs(model: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    """What a model returns in inference mode, always as a list."""
    untyped: Any = model
    found = untyped.predict_on_batch(x)
    return [np.asarray(v) for v in (found if isinstance(found, (list, tuple)) else [found])]


def _before_activation(tail: Tail, name: str) -> Any:
    layer = tail.layer(name)
    if fused(layer) == "linear":
        return tail.made(tail.measured(name))
    build: Any = type(layer).from_config
    plain = build({**layer.get_config(), "activation": "linear", "name": f"{name}_measured"})
    tensor = plain(tail.given(name))
    plain.set_weights(layer.get_weights())
    return tensor

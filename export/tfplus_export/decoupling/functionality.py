"""What the filters of a model do: preferences at every depth, and inputs that move a filter most.

Activation maximization goes up the gradient of a filter's mean activation, from noise. Decay of the
input and smoothing by a small Gaussian keep it from what no sample looks like (Yosinski et al.,
"Understanding Neural Networks Through Deep Visualization", 2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfplus.decoupling.functionality import critical_path
from tfplus.decoupling.plan import Plan
from tfplus.decoupling.report import Functionality, MaximizedFilter
from tfplus.decoupling.statistics import ClassMeans
from tfplus_export.decoupling.activations import Progress, outputs
from tfplus_export.decoupling.samples import Samples

ITERATIONS = (20, 40, 100)
_STEP = 0.1
_DECAY = 0.01
_SMOOTH_EVERY = 4
_KERNEL = np.outer((1, 2, 1), (1, 2, 1)) / 16
_NONLINEAR = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU)
_FILTERED = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D, layers.Dense)


def measure(
    model: keras.Model, plan: Plan, samples: Samples, seed: int, progress: Progress
) -> Functionality:
    """Measures a model for the report of its plan.

    Args:
      model: that was decoupled, functional.
      plan: of it.
      samples: some of each class.
      seed: of the noise that inputs begin as.
      progress: told what is being done.

    Raises:
      DataError: an activation is NaN or infinite.
    """
    progress("measuring what filters do at every depth")
    tensors = _activated(model)
    probe = keras.Model(model.inputs[0], list(tensors.values()))
    means = {
        name: ClassMeans(name, len(plan.classes), int(t.shape[-1])) for name, t in tensors.items()
    }
    for x, places in samples.batches():
        for name, values in zip(tensors, outputs(probe, x), strict=True):
            means[name].add(values, places)
    preferences = {name: sums.means() for name, sums in means.items()}
    progress("looking for inputs that move filters most")
    return Functionality(preferences, _maximized(tensors, model, plan, samples, seed))


def _activated(model: Any) -> dict[str, Any]:
    """Name of each layer with filters, from the input on → its output behind the activation."""
    depths = model._nodes_by_depth
    nodes = [node for depth in sorted(depths, reverse=True) for node in depths[depth]]
    readers: dict[int, list[Any]] = {}
    for node in nodes:
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), []).append(node)
    found: dict[str, Any] = {}
    for node in nodes[:-1]:
        if isinstance(node.operation, _FILTERED):
            tensor = node.output_tensors[0]
            while True:
                behind = readers.get(id(tensor), [])
                passed = (layers.BatchNormalization, *_NONLINEAR)
                if len(behind) != 1 or not isinstance(behind[0].operation, passed):
                    break
                tensor = behind[0].output_tensors[0]
                if isinstance(behind[0].operation, _NONLINEAR):
                    break
            found[node.operation.name] = tensor
    return found


def _maximized(
    tensors: Mapping[str, Any], model: keras.Model, plan: Plan, samples: Samples, seed: int
) -> list[MaximizedFilter]:
    """One filter of each class: that of its critical path in the last decoupled convolution."""
    spatial = [
        (i, layer)
        for i, layer in enumerate(plan.layers)
        if layer.name in tensors and len(tensors[layer.name].shape) == 4
    ]
    if not spatial:
        return []
    place, layer = spatial[-1]
    chosen = [critical_path(plan.layers, i)[place].filter for i in range(len(plan.classes))]
    probe = keras.Model(model.inputs[0], tensors[layer.name])
    first, _ = next(iter(samples.batches()))
    kept, strength = ascend(probe, chosen, first, seed)
    return [
        MaximizedFilter(
            label,
            layer.name,
            chosen[i],
            {count: values[i] for count, values in kept.items()},
            {count: float(values[i]) for count, values in strength.items()},
        )
        for i, label in enumerate(plan.classes)
    ]


def ascend(
    probe: keras.Model, filters: Sequence[int], like: np.ndarray, seed: int
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Goes up the gradient of filters' mean activations, one input for each.

    Args:
      probe: from samples to [n, height, width, filters].
      filters: indices.
      like: samples as the model takes them: the noise has their mean and part of their deviation.
      seed: of the noise, which is the same for all.

    Returns:
      Iterations → inputs, float32 [n, ...]; and → mean activations, float32 [n].
    """
    rng = np.random.default_rng(seed)
    mean, deviation = float(like.mean()), float(like.std()) or 1.0
    noise = rng.standard_normal(like.shape[1:], np.float32) * (0.1 * deviation) + mean
    x = tf.constant(np.stack([noise] * len(filters)).astype(np.float32))
    index = tf.one_hot(list(filters), int(probe.outputs[0].shape[-1]))
    smooth = tf.constant(np.tile(_KERNEL[..., None, None], (1, 1, like.shape[-1], 1)), tf.float32)
    untyped: Any = probe

    def climb(given: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(given)
            activation = tf.reduce_sum(
                tf.reduce_mean(untyped(given, training=False), (1, 2)) * index, 1
            )
        gradient: Any = tape.gradient(activation, given)
        size = tf.sqrt(tf.reduce_mean(gradient**2, (1, 2, 3), keepdims=True)) + 1e-8
        moved = given + _STEP * deviation * gradient / size
        return mean + (moved - mean) * (1 - _DECAY), activation

    step: Any = tf.function(climb, autograph=False)
    kept: dict[int, np.ndarray] = {}
    strength: dict[int, np.ndarray] = {}
    for iteration in range(1, max(ITERATIONS) + 1):
        x, _ = step(x)
        if iteration % _SMOOTH_EVERY == 0 and min(like.shape[1:3]) > 2:
            padded = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC")
            x = tf.nn.depthwise_conv2d(padded, smooth, (1, 1, 1, 1), "VALID")
        if iteration in ITERATIONS:
            kept[iteration] = np.asarray(x)
            strength[iteration] = np.asarray(step(x)[1])
    return kept, strength

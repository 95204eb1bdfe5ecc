"""Gradients of tiles against TensorFlow's own of the whole map: dX and dW apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfplus.errors import UsageError
from tfplus.tiles import masks
from tfplus.tiles.grid import Grid, Tiling
from tfplus.tiles.grid import fused as fuse
from tfplus.tiles.step import in_memory
from tfplus.tiles.step.machine import TileStep
from tfplus.tiles.step.moments import Moments
from tfplus.tiles.step.place import Place
from tfplus_export.tiles import chain, fused
from tfplus_export.tracing.naming import variable_names

C, S = layers.Conv2D, {"padding": "same"}
MODELS: dict[str, list[Any]] = {
    "same": [C(3, 3, **S, activation="relu"), C(4, 3, **S, activation="tanh"), C(2, 5, **S)],
    "stride 2": [C(3, 3, strides=2, **S), C(4, 3, strides=2, **S), C(3, 3, **S)],
    "stride 2, even kernel": [
        C(3, 4, strides=2, **S),
        C(3, 2, **S, activation="elu"),
        C(2, 3, **S),
    ],
    "valid": [C(3, 3), C(3, (3, 1), activation="relu"), C(2, 2)],
    "maximum": [C(3, 3, **S), layers.MaxPooling2D(2), C(3, 3, **S)],
    "maximum, same": [layers.MaxPooling2D(3, 1, **S), C(3, 3, **S), layers.MaxPooling2D(3, 2, **S)],
    "average": [C(3, 3, **S), layers.AveragePooling2D(2), C(3, 3, **S)],
    "dilated": [C(3, 3, dilation_rate=2, **S), layers.LeakyReLU(), C(2, 3, **S)],
    "depthwise": [
        layers.DepthwiseConv2D(3, **S),
        layers.SeparableConv2D(4, 3, **S),
        layers.DepthwiseConv2D(3, strides=2, **S),
    ],
    "grouped": [C(4, 3, groups=2, **S), layers.ReLU(), C(4, 1, groups=2)],
}
# A bias in front of a normalization has no gradient but rounding.
MODELS["normalized"] = [
    C(3, 3, use_bias=False, **S),
    layers.BatchNormalization(),
    C(2, 3, strides=2, **S),
]
BATCH = 2


class Eager:
    """`machine.Compute` of one device by the lowered rules, run by TensorFlow."""

    def __init__(self, tiled: chain.TiledModel, tiling: Tiling, device: int) -> None:
        names = variable_names(tiled.model)
        self.values = {names[id(v)]: tf.constant(v.numpy()) for v in tiled.model.variables}
        self.tiles = [
            fused.build(tiled.layers[a:b], tile, BATCH)
            for (a, b), tile in zip(tiling.groups, tiling.part(device), strict=True)
        ]
        self.first: np.ndarray | None = None
        self.keep, self.kept = tiling.keep, {}

    def forward(self, group: int, fetched: Any, moments: Any) -> np.ndarray:
        x, given = self._given(group, fetched)
        if self.keep:
            y, self.kept[group] = self.tiles[group].made(x, given, self.values, moments)
            return y.numpy()
        return self.tiles[group].forward(x, given, self.values, moments).numpy()

    def backward(self, group: int, fetched: Any, delta: np.ndarray, moments: Any) -> Any:
        x, given = self._given(group, fetched)
        tile = self.tiles[group]
        dy = tf.constant(delta)
        kept = self.kept.pop(group, None)
        dx, gradients, slopes = tile.backward(
            x, given, dy, self.values, moments, kept, to_input=True
        )
        if slopes is not None:
            slopes = Moments(*(each.numpy() for each in slopes))
        pairs = zip(dx, tile.tile.inputs, strict=True)
        inside = [values.numpy()[each.fetched.within(each.region)] for values, each in pairs]
        if not group:
            (self.first,) = inside
        return (inside if group else None), {n: g.numpy() for n, g in gradients.items()}, slopes

    def tail(self, output: np.ndarray, targets: Mapping[str, np.ndarray]) -> Any:
        return {"loss": float((output**2).sum()) / 2}, output, {}

    def _given(self, group: int, fetched: Any) -> Any:
        tile, xs = self.tiles[group].tile, []
        for each, values in zip(tile.inputs, fetched, strict=True):
            x = np.zeros((BATCH, *each.region.shape, each.channels), np.float32)
            x[each.fetched.within(each.region)] = values
            xs.append(tf.constant(x))
        arrays = masks.of(tile)
        return xs, {i: tf.constant(arrays[masks.name(i)]) for i in masks.masked(tile)}


def copied(layer: Any, name: str) -> Any:
    return type(layer).from_config({**layer.get_config(), "name": name})


def built(name: str, rows: int, columns: int) -> chain.TiledModel:
    keras.utils.set_random_seed(7)
    x = image = keras.Input((rows, columns, 2))
    for i, layer in enumerate(MODELS[name]):
        x = copied(layer, f"layer{i}")(x)
    rest = layers.Dense(2, name="rest")(layers.Flatten()(x))
    return chain.read(keras.Model(image, rest), name)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("grid", "groups", "keep"),
    [
        pytest.param(Grid.even(2, 2), None, False, id="2x2 fused", marks=pytest.mark.slow),
        pytest.param(Grid((2.0, 1.0), (1.0,)), ((0, 1), (1, 3)), False, id="uneven, two groups"),
        pytest.param(Grid((2.0, 1.0), (1.0,)), None, True, id="uneven fused, kept"),
    ],
)
def test_gradients_are_tensorflows(name: str, grid: Grid, groups: Any, keep: bool) -> None:
    tiled = built(name, 13, 14)
    assert len(tiled.layers) == 3
    tiling = Tiling(tiled.chain, grid, groups or fuse(tiled.chain), keep)
    names = variable_names(tiled.model)
    x = np.random.default_rng(3).standard_normal((BATCH, 13, 14, 2)).astype(np.float32)
    prefix: Any = keras.Model(tiled.model.inputs, tiled.cut)
    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        y = prefix(given, training=True)
        loss = tf.reduce_sum(y * y) / 2
    dx, *wanted = tape.gradient(loss, [given, *prefix.trainable_variables])
    devices = [Eager(tiled, tiling, d) for d in range(grid.tiles)]
    groups = [tile.weights for tile in devices[0].tiles]
    shapes = (*({w.name: w.shape for w in ws if w.trainable} for ws in groups), {})
    steps = [
        TileStep(Place(tiling, d, 0, BATCH, shapes), device, 1) for d, device in enumerate(devices)
    ]
    in_memory.run(steps, in_memory.scatter(tiling, x), {}, 0)
    assert steps[0].metrics["loss"] == pytest.approx(float(loss), rel=1e-5)
    for variable, gradient in zip(prefix.trainable_variables, wanted, strict=True):
        found = steps[1].gradients[names[id(variable)]]
        assert np.abs(found - gradient).max() <= 1e-5 * np.abs(gradient).max(), variable.path
    # The gradient of the samples: each device has that of what it fetched, to be added up.
    total = np.zeros_like(x)
    for device, tile in zip(devices, tiling.tiles[0], strict=True):
        part = tile.fetched
        total[:, slice(*part.rows), slice(*part.columns)] += device.first
    assert np.abs(total - dx).max() <= 1e-5 * np.abs(dx).max()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ([layers.Flatten()], r"'flatten\w*' \(Flatten\) cannot be tiled: what follows reads"),
        ([C(2, 3), layers.BatchNormalization(axis=1)], "expected the axis -1, got 1"),
        ([C(2, 3), layers.GlobalAveragePooling2D()], "it reads the whole map"),
        ([C(2, 3), layers.Dropout(0.1)], "its noise"),
        ([C(2, 3), layers.AveragePooling2D(3, 1, padding="same")], "a mean over padding"),
        ([C(2, 3), C(2, 3, kernel_regularizer="l2")], "has a kernel_regularizer"),
    ],
)
def test_what_ends_the_tiles_is_told(made: list[Any], reason: str) -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), *made, layers.Flatten(name="last"), layers.Dense(2)]
    )
    if isinstance(made[0], layers.Flatten):
        with pytest.raises(UsageError, match=reason):
            chain.read(model, "m")
        return
    found = chain.read(model, "m")
    assert len(found.layers) == 1
    assert reason in found.chain.stopped_by
    with pytest.raises(UsageError, match=r"--layers 2: expected 1 to 1; "):
        chain.read(model, "m", 2)

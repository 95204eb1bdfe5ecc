"""Tiles by the lowered rules, run by TensorFlow, and their gradients against its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfplus.tiles import masks
from tfplus.tiles.grid import Tiling
from tfplus.tiles.step import in_memory
from tfplus.tiles.step.machine import TileStep
from tfplus.tiles.step.moments import Moments
from tfplus.tiles.step.place import Place
from tfplus_export.tiles import chain, fused
from tfplus_export.tracing.naming import variable_names

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


def check_gradients(tiled: chain.TiledModel, tiling: Tiling) -> None:
    """Holds gradients of the samples and of weights, each, to those of the whole map."""
    shape = BATCH, *tiling.chain.maps()[0]
    names = variable_names(tiled.model)
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    prefix: Any = keras.Model(tiled.model.inputs, tiled.cut)
    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        y = prefix(given, training=True)
        loss = tf.reduce_sum(y * y) / 2
    dx, *wanted = tape.gradient(loss, [given, *prefix.trainable_variables])
    devices = [Eager(tiled, tiling, d) for d in range(tiling.grid.tiles)]
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

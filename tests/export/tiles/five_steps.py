"""Five steps of tiles under the runtime against untiled training with Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfplus.tiles.process.tile_model import TileModel
from tfplus.tiles.step import in_memory
from tfplus.tiles.step.files import TileFiles
from tfplus.tiles.step.machine import TileStep
from tfplus_export.optimizers import Optimizer
from tfplus_export.tracing.naming import variable_names


def opened(files: TileFiles, device: int) -> TileModel:
    given = files.assignment("run", device, [""] * files.tiling.grid.tiles, 0)
    place = given.place
    part = place.tiling.part(device)
    return TileModel(
        files.content(device), part, place.shapes, place.batch,
        keep=files.tiling.keep, free=files.tiling.free,
    )  # fmt: skip


def check_five_steps(whole: keras.Model, files: TileFiles, rule: Optimizer) -> list[TileModel]:
    """Holds weights, moving averages and losses to Keras'; returns the devices.

    Args:
      whole: the model, which is trained, too; three classes.
      files: of it, on two devices.
      rule: the optimizer of both.
    """
    batch, tiling = files.batch, files.tiling
    devices = [opened(files, d) for d in range(2)]
    optimizer = rule.keras()
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rng = np.random.default_rng(0)
    for number in range(1, 6):
        x = rng.standard_normal((batch, *tiling.chain.maps()[0])).astype(np.float32)
        y = rng.integers(0, 3, batch).astype(np.int32)
        # A row without a sample counts for the statistics alone.
        valid = batch - (number == 5)
        y[valid:] = -1
        places = [files.assignment("run", d, ["", ""], 0).place for d in range(2)]
        steps = [TileStep(p, m, number) for p, m in zip(places, devices, strict=True)]
        in_memory.run(steps, in_memory.scatter(tiling, x), {"y": y}, 0)
        with tf.GradientTape() as tape:
            loss = loss_of(y[:valid], whole(x, training=True)[:valid])
        gradients = tape.gradient(loss, whole.trainable_variables)
        optimizer.apply(gradients, whole.trainable_variables)
        for step, device in zip(steps, devices, strict=True):
            device.update(step.gradients, step.moments)
        assert steps[0].metrics["loss"] == pytest.approx(float(loss), rel=1e-5)
    names, states = variable_names(whole), [device.save() for device in devices]
    for variable in whole.variables:
        wanted, name = variable.numpy(), names[id(variable)]
        assert np.abs(states[0][name] - wanted).max() <= 1e-5 * np.abs(wanted).max()
    for name, value in states[0].items():
        assert np.array_equal(value, states[1][name])
    return devices

"""Files of tiles under the runtime: five steps are those of untiled training with Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tests.export.tiles.five_steps import check_five_steps, opened
from tfplus.errors import ArtifactError, ExportError
from tfplus.tiles.grid import Grid, Tiling
from tfplus.tiles.process.tile_model import TileModel
from tfplus.tiles.step.moments import Moments
from tfplus_export.conversion import flatbuffer
from tfplus_export.losses import compiled
from tfplus_export.optimizers import Sgd
from tfplus_export.optimizers.adam import Adam
from tfplus_export.tiles import chain, export


def model() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((9, 10, 1)),
            layers.Conv2D(3, 3, padding="same", use_bias=False, name="a"),
            layers.BatchNormalization(momentum=0.8, name="n"),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="b"),
            layers.MaxPooling2D(2, strides=1, padding="same", name="c"),
            layers.Flatten(),
            layers.Dense(3, name="d"),
        ]
    )


LOSSES = compiled.named("sparse_categorical_crossentropy", ["d"])


def products(content: bytes) -> int:
    """Operators of a file that multiply matrices."""
    counts = flatbuffer.operators(content)
    return sum(counts.get(name, 0) for name in ("BATCH_MATMUL", "CONV_2D", "FULLY_CONNECTED"))


@pytest.mark.parametrize(
    ("keep", "free"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_five_steps_are_those_of_keras(keep: bool, free: bool) -> None:
    whole, rule, batch = model(), Sgd(0.1, 0.9), 4
    tiled = chain.read(whole, "m")
    # Five rows of b's map in three and two, so that there are two shapes of tile.
    tiling = Tiling(tiled.chain, Grid.even(2, 1), ((0, 1), (1, 4)), keep, free)
    files = export.export(tiled, tiling, rule, LOSSES, batch, lambda text: None)
    assert len(files.contents) == 2
    devices = check_five_steps(whole, files, rule)
    # A state put back is the state that was taken.
    devices[0].restore(files.values)
    assert np.array_equal(devices[0].save()["shared/a/kernel"], files.values["shared/a/kernel"])
    with pytest.raises(ArtifactError, match="the plan says"):
        given = files.assignment("run", 0, ["", ""], 0)
        part = tiling.part(1)
        TileModel(files.content(0), part, given.place.shapes, batch)


def test_what_is_kept_is_not_computed_again() -> None:
    tiled = chain.read(model(), "m")
    counts = {}
    for keep in (False, True):
        tiling = Tiling(tiled.chain, Grid.even(1, 1), ((0, 1), (1, 4)), keep)
        files = export.export(tiled, tiling, Sgd(0.1), LOSSES, 2, lambda text: None)
        counts[keep] = products(files.content(0))
        device = opened(files, 0)
        moments = Moments(np.zeros(3, np.float32), np.ones(3, np.float32))
        x = np.random.default_rng(1).random((2, 9, 10, 3), np.float32)
        device.forward(1, [x], moments)
        dy = np.ones((2, 5, 5, 4), np.float32)
        (dx,), _, _ = device.backward(1, [x], dy, moments)
        # What was kept went with it: without, the pass has not what it takes.
        if keep:
            with pytest.raises(ValueError, match="number of inputs"):
                device.backward(1, [x], dy, moments)
        else:
            (again,), _, _ = device.backward(1, [x], dy, moments)
            assert np.array_equal(dx, again)
    assert counts[True] < counts[False]


def test_what_does_not_train_with_tiles_is_refused() -> None:
    keras.utils.set_random_seed(3)
    first = [keras.Input((8, 8, 1)), layers.Conv2D(2, 3, name="a"), layers.Flatten()]
    for more, reason in (
        ([layers.Dropout(0.5), layers.Dense(3, name="d")], "draw noise"),
        ([layers.BatchNormalization(), layers.Dense(3, name="d")], "beside the gradients"),
        ([layers.Dense(3, kernel_regularizer="l2", name="d")], "regularizers"),
    ):
        tiled = chain.read(keras.Sequential([*first, *more]), "m")
        tiling = Tiling(tiled.chain, Grid.even(1, 2), ((0, 1),))
        with pytest.raises(ExportError, match=reason):
            export.modules(tiled, tiling, Adam(), LOSSES, 2)

"""Gradients of tiles against TensorFlow's own of the whole map: dX and dW apart."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from tests.export.tiles.eager import check_gradients
from tfplus.errors import UsageError
from tfplus.tiles.grid import Grid, Tiling
from tfplus.tiles.grid import fused as fuse
from tfplus_export.tiles import chain

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
    check_gradients(tiled, tiling)


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

"""Residual connections among the tiled layers: gradients are TensorFlow's, five steps Keras'."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.export.tiles.eager import check_gradients
from tests.export.tiles.five_steps import check_five_steps
from tfplus.errors import UsageError
from tfplus.tiles import layers as tiled_layers
from tfplus.tiles.grid import Grid, Tiling, apart, fused
from tfplus.tiles.planning import choice, cost
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.job import Job
from tfplus_export.losses import compiled
from tfplus_export.optimizers import Sgd
from tfplus_export.tiles import chain, export

UNEVEN = Grid((2.0, 1.0), (1.0,))
CONV = {"padding": "same", "use_bias": False}


def conv(x: Any, channels: int, name: str, kernel: int = 3, stride: int = 1) -> Any:
    return layers.Conv2D(channels, kernel, strides=stride, name=name, **CONV)(x)


def norm(x: Any, name: str, kind: str) -> Any:
    """A batch normalization that trains, a frozen one, or none."""
    if kind == "none":
        return x
    layer = layers.BatchNormalization(name=name, momentum=0.8, trainable=kind == "trains")
    return layer(x)


def block(x: Any, channels: int, stride: int, name: str, kind: str = "none") -> Any:
    """Of a ResNet (He et al., Deep Residual Learning, 2016): identity, or projection 1x1."""
    y = norm(conv(x, channels, f"{name}a", stride=stride), f"{name}an", kind)
    y = layers.Activation("tanh", name=f"{name}at")(y)
    y = norm(conv(y, channels, f"{name}b"), f"{name}bn", kind)
    if stride > 1 or x.shape[-1] != channels:
        x = norm(conv(x, channels, f"{name}p", 1, stride), f"{name}pn", kind)
    return layers.Activation("elu", name=f"{name}e")(layers.Add(name=f"{name}s")([x, y]))


def resnet(image: Any, kind: str) -> Any:
    """The first two stages of a ResNet-8, narrow."""
    x = layers.Activation("tanh", name="t")(norm(conv(image, 3, "c"), "n", kind))
    return block(block(x, 3, 1, "x", kind), 4, 2, "y", kind)


def before(image: Any) -> Any:
    """A normalization in front of the products, whose map the sum reads as it is."""
    x = conv(image, 3, "c")
    y = layers.Activation("tanh", name="t")(norm(x, "n", "trains"))
    return layers.Add(name="s")([conv(y, 3, "d"), x])


def of_samples(image: Any) -> Any:
    return layers.Add(name="s")([image, conv(conv(image, 4, "a"), 2, "b", 5)])


def three(image: Any) -> Any:
    """Branches of unequal halos, one with padding of its own, one strided by a pooling."""
    x = conv(image, 2, "c", stride=2)
    parts = [
        conv(conv(x, 3, "a", 5), 3, "b"),
        conv(layers.MaxPooling2D(3, 1, padding="same", name="m")(x), 3, "d", 1),
        conv(x, 3, "e", 3),
    ]
    return conv(layers.Add(name="s")(parts), 2, "f", 3, 2)


BODIES: dict[str, Callable[[Any], Any]] = {
    "plain": lambda image: resnet(image, "none"),
    "frozen": lambda image: resnet(image, "frozen"),
    "normalized": lambda image: resnet(image, "trains"),
    "normalized before": before,
    "of the samples": of_samples,
    "three branches": three,
}


def model(name: str) -> keras.Model:
    keras.utils.set_random_seed(5)
    image = keras.Input((13, 14, 2))
    rest = layers.Dense(3, name="d_")(layers.Flatten(name="f_")(BODIES[name](image)))
    return keras.Model(image, rest)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    ("grid", "cut", "keep"),
    [
        pytest.param(UNEVEN, fused, False, id="uneven, fused"),
        pytest.param(Grid.even(1, 2), apart, False, id="each layer"),
        pytest.param(UNEVEN, fused, True, id="uneven fused, kept"),
        pytest.param(Grid.even(2, 2), fused, False, id="2x2", marks=pytest.mark.slow),
    ],
)
def test_gradients_are_tensorflows(name: str, grid: Grid, cut: Any, keep: bool) -> None:
    tiled = chain.read(model(name), name)
    assert tiled.chain.layers[-1].name in ("ye", "s", "f")
    check_gradients(tiled, Tiling(tiled.chain, grid, cut(tiled.chain), keep))


@pytest.mark.parametrize(
    ("name", "cut"),
    [("plain", fused), ("plain", apart), ("normalized", fused), ("of the samples", fused)],
)
def test_five_steps_are_those_of_keras(name: str, cut: Any) -> None:
    whole, rule = model(name), Sgd(0.05, 0.9)
    tiled = chain.read(whole, name)
    tiling = Tiling(tiled.chain, UNEVEN, cut(tiled.chain))
    losses = compiled.named("sparse_categorical_crossentropy", ["d_"])
    check_five_steps(whole, export.export(tiled, tiling, rule, losses, 4, lambda text: None), rule)


def test_the_order_is_branch_by_branch_and_survives_json() -> None:
    found = chain.read(model("normalized"), "m").chain
    assert [x.name for x in found.layers[9:]] == [
        "xe", "ya", "yan", "yat", "yb", "ybn", "yp", "ypn", "ys", "ye",
    ]  # fmt: skip
    assert {x.name: x.back for x in found.layers if x.back != (1,)} == {
        "xs": (6, 1), "yp": (6,), "ys": (1, 3),
    }  # fmt: skip
    plain = json.dumps(found.plain())
    assert tiled_layers.from_plain(tiled_layers.PlanFields(json.loads(plain))) == found
    wrong = json.loads(plain)
    wrong["layers"][0]["back"] = [2]
    with pytest.raises(UsageError, match="reads maps"):
        tiled_layers.from_plain(tiled_layers.PlanFields(wrong))


def test_where_tiles_and_groups_can_end() -> None:
    whole = model("plain")
    found = chain.read(whole, "m").chain
    with pytest.raises(UsageError, match="reads another map, too"):
        chain.read(whole, "m", 3)
    at = [x.name for x in found.layers].index("xe") + 1
    assert chain.read(whole, "m", at).chain.layers[-1].name == "xe"
    # Within the first block, behind its first convolution: what the sum reads was no group's end.
    with pytest.raises(UsageError, match="a group cannot end behind layer 'xa'"):
        _ = Tiling(found, UNEVEN, ((0, 3), (3, len(found.layers)))).tiles
    samples = chain.read(model("of the samples"), "m").chain
    assert apart(samples) == fused(samples) == ((0, 3),)
    # Two maps of one branch go on to the rest of the network.
    image = keras.Input((8, 8, 1))
    x = conv(image, 2, "a")
    joined = layers.Concatenate(name="j")([conv(x, 2, "b"), x])
    rest = layers.Dense(2)(layers.Flatten()(joined))
    ended = chain.read(keras.Model(image, rest), "m").chain
    assert [x.name for x in ended.layers] == ["a"]
    assert "'a' is read by 2 layers" in ended.stopped_by
    assert "'j' (Concatenate) cannot be tiled" in ended.stopped_by


@pytest.mark.parametrize("name", ["plain", "normalized", "three branches"])
def test_the_best_grouping_is_the_best_of_all(name: str) -> None:
    found = chain.read(model(name), name).chain
    job, cluster = Job(4), Cluster(1e6, 1e7, 1e-3)
    count = len(found.layers)
    every: list[float] = []
    for bits in range(1 << (count - 1)) if count < 13 else ():
        edges = [0, *(i + 1 for i in range(count - 1) if bits >> i & 1), count]
        tiling = Tiling(found, UNEVEN, tuple(itertools.pairwise(edges)))
        try:
            every.append(cost.of_step(tiling, job, cluster).step_s)
        except UsageError:
            continue
    best = choice.choose(found, [UNEVEN], job, cluster).best
    assert np.isfinite(best.cost.step_s)
    if every:
        assert best.cost.step_s == pytest.approx(min(every))

"""Every lowering of a convolution against TensorFlow's own gradients, and which one it gets."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import keras
import numpy as np
import pytest
from keras import layers
from oracle import assert_equal

from tfplus.errors import UsageError
from tfplus_export.lowering.engine import kernel_variants
from tfplus_export.lowering.engine.rule import Rules
from tfplus_export.lowering.kernels.toom_cook import short_convolution
from tfplus_export.lowering.ops.convolution.convolutions import CONV2D
from tfplus_export.lowering.table import RULES
from tfplus_export.tracing.graph import trace

LOWERINGS = tuple(CONV2D.rules)
WINOGRAD = tuple(name for name in LOWERINGS if name.startswith("winograd"))


def model(
    kernel: tuple[int, int], size: tuple[int, int], padding: str, filters: int = 5
) -> keras.Model:
    """A convolution behind a trainable layer, so that the gradient of its input shows."""
    keras.utils.set_random_seed(0)
    x = keras.Input((*size, 3))
    behind = layers.Dense(4, name="behind")(x)
    return keras.Model(x, layers.Conv2D(filters, kernel, padding=padding, name="conv")(behind))


def images(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, *size, 3)).astype(np.float32)


def only(name: str) -> Rules:
    """The table with one lowering of a convolution."""
    return {**RULES, "Conv2D": CONV2D.rules[name]}


@pytest.mark.parametrize("name", LOWERINGS)
@pytest.mark.parametrize(
    ("kernel", "size", "padding", "filters"),
    # Fewer filters than channels, as many, and more: other sides of the products. The last image is
    # large enough for products image by image, and for planes, with tiles that reach beyond it.
    [
        ((3, 3), (7, 6), "same", 5),
        ((5, 3), (9, 10), "valid", 2),
        ((2, 3), (4, 5), "same", 4),
        ((3, 2), (12, 13), "same", 3),
    ],
)
def test_a_lowering_agrees_with_tensorflow(
    name: str, kernel: tuple[int, int], size: tuple[int, int], padding: str, filters: int
) -> None:
    assert_equal(model(kernel, size, padding, filters), images(size), rules=only(name))


@pytest.mark.parametrize("options", [{"strides": 2}, {"groups": 2}, {"dilation_rate": 2}])
def test_columns_take_every_convolution(options: dict[str, int]) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((7, 6, 3))
    behind = layers.Dense(4)(x)
    wanted = keras.Model(x, layers.Conv2D(6, 3, padding="same", **options)(behind))
    assert_equal(wanted, images((7, 6)), rules=only("columns"))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kernel", "strides"),
    # Lines in phases, blocks of one output and of more, and a phase with fewer taps than another.
    [((3, 3), 2), ((2, 2), 2), ((4, 5), (3, 2)), ((5, 7), (2, 3))],
)
def test_pixels_in_blocks_take_strides(
    kernel: tuple[int, int], strides: int | tuple[int, int], padding: str
) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((11, 12, 3))
    behind = layers.Dense(4)(x)
    wanted = keras.Model(x, layers.Conv2D(5, kernel, strides, padding)(behind))
    assert_equal(wanted, images((11, 12)), rules=only("toeplitz"))


@pytest.mark.slow
@pytest.mark.parametrize("name", LOWERINGS)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(5, 5), (9, 12), (17, 6)])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (3, 2), (5, 5)])
def test_a_lowering_agrees_for_many_shapes(
    name: str, kernel: tuple[int, int], size: tuple[int, int], padding: str
) -> None:
    assert_equal(model(kernel, size, padding), images(size), rules=only(name))


@pytest.mark.parametrize("name", WINOGRAD)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 11)])
def test_images_smaller_than_a_tile(name: str, size: tuple[int, int]) -> None:
    assert_equal(model((3, 3), size, "same"), images(size), rules=only(name))


@pytest.mark.parametrize(("outputs", "taps"), [(1, 3), (2, 3), (4, 3), (2, 5), (4, 5)])
def test_a_short_convolution_is_exact(outputs: int, taps: int) -> None:
    short = short_convolution(outputs, taps)
    rng = np.random.default_rng(0)
    given, weights = rng.normal(size=outputs + taps - 1), rng.normal(size=taps)
    found = short.outputs @ ((short.taps @ weights) * (short.inputs @ given))
    np.testing.assert_allclose(found, np.correlate(given, weights, "valid"), rtol=1e-9)
    # The matrices of the paper, section 4.1, up to signs.
    if (outputs, taps) == (2, 3):
        assert {abs(Fraction(v)) for v in short.taps.ravel()} == {0, Fraction(1, 2), 1}


def test_a_named_lowering_is_taken_and_one_that_does_not_apply_is_passed_over() -> None:
    graph = trace(model((3, 3), (8, 8), "same", filters=32), 2, training=True)
    (choice,) = kernel_variants.choices(graph, RULES)
    assert choice.layer == "conv" and choice.workload == "Conv2D 2x8x8x4 3x3x4x32 stride 1 SAME"
    assert {*choice.names, "rows at once"} == set(LOWERINGS)
    for name in choice.names:
        rules = kernel_variants.named(RULES, {choice.workload: name})
        assert kernel_variants.choices(graph, rules)[0].names[0] == name
    strided = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, 2)])
    (choice,) = kernel_variants.choices(trace(strided, 2, training=True), RULES)
    assert choice.names == ("columns", "rows", "toeplitz")
    grouped = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, groups=2)])
    (choice,) = kernel_variants.choices(trace(grouped, 2, training=True), RULES)
    assert choice.names == ("columns", "rows")


@pytest.mark.parametrize(
    "lowerings", [{"Conv2D 2x8x8x4": "fast"}, {"Conv 2x8x8x4": "rows"}, {"Relu 2x4": "rows"}]
)
def test_a_lowering_that_does_not_exist_is_refused(lowerings: Mapping[str, str]) -> None:
    with pytest.raises(UsageError, match="expected one of"):
        kernel_variants.named(RULES, lowerings)


def test_accelerators_get_the_one_that_they_take() -> None:
    assert kernel_variants.for_accelerators(RULES)["Conv2D"] is CONV2D.rules["rows at once"]

"""Ten steps of an exported file under every runtime, against TensorFlow's ten steps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from trajectory import RUNNER, STEPS, assert_losses, train_in_tensorflow

from tfplus.model_file.manifest import Preprocessing
from tfplus_export.optimizers import Adam, Adjusted, Clip, Optimizer, RmsProp, Sgd
from tfplus_export.sources import source
from tfplus_export.sources.source import Source

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow


def lenet() -> Source:
    return source.load("zoo:lenet", input_shape=(16, 16, 3), classes=None, seed=0)


def mobilenet() -> Source:
    return source.load("zoo:reduced-mobilenet", input_shape=(16, 16, 3), classes=None, seed=0)


def digits() -> Source:
    return source.load("zoo:digits", input_shape=None, classes=(9, 0, 1), seed=0)


def strided() -> Source:
    """Strides above one, every padding, overlapping and average pooling, a softmax at the end."""
    model = keras.Sequential(
        [
            keras.Input((13, 11, 2)),
            layers.Conv2D(8, 3, 2, "same", activation="relu"),
            layers.Conv2D(8, (2, 3), padding="valid", dilation_rate=(1, 2)),
            layers.MaxPooling2D(3, 2, "same"),
            layers.Conv2D(6, 3, (1, 2), "same", use_bias=False, activation="relu"),
            layers.AveragePooling2D(2, 1, "same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    return Source("test:strided", model, tuple(range(5)), None, None, Preprocessing(), None)


def depthwise() -> Source:
    """Depthwise convolutions of several strides and multipliers, separable and grouped ones."""
    model = keras.Sequential(
        [
            keras.Input((12, 11, 3)),
            layers.DepthwiseConv2D(3, 1, "same", depth_multiplier=2, activation="relu"),
            layers.SeparableConv2D(8, 3, 2, "same", activation="relu"),
            layers.DepthwiseConv2D((3, 2), padding="same", dilation_rate=(2, 1)),
            layers.Conv2D(12, 3, 2, "same", groups=4, activation="relu"),
            layers.DepthwiseConv2D(3, 2, "valid", use_bias=False),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    return Source("test:depthwise", model, tuple(range(5)), None, None, Preprocessing(), None)


def normalized() -> Source:
    """Batch normalization after convolutions and a dense layer, and a frozen one."""
    model = keras.Sequential(
        [
            keras.Input((12, 11, 3)),
            layers.BatchNormalization(trainable=False),
            layers.Conv2D(8, 3, 2, "same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(scale=False),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(12),
            layers.BatchNormalization(momentum=0.5),
            layers.Dense(5),
        ]
    )
    return Source("test:normalized", model, tuple(range(5)), None, None, Preprocessing(), None)


def frozen() -> Source:
    """Frozen layers of every kind below, between and above those that train."""
    model = keras.Sequential(
        [
            keras.Input((12, 11, 3)),
            layers.Conv2D(6, 3, 2, "same", activation="relu", trainable=False),
            layers.BatchNormalization(trainable=False),
            layers.Conv2D(8, 3, use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(8, 3, 2, "same", trainable=False),
            layers.DepthwiseConv2D(3, padding="same", trainable=False),
            layers.Conv2D(8, 3, padding="same", dilation_rate=2, groups=2, trainable=False),
            layers.Flatten(),
            layers.Dense(12, activation="relu", trainable=False),
            layers.Dense(5),
        ]
    )
    return Source("test:frozen", model, tuple(range(5)), None, None, Preprocessing(), None)


def activated() -> Source:
    """One dense layer for each activation, joined; then layer normalization."""
    image = keras.Input((6, 4))
    names = "relu6 leaky_relu elu selu gelu swish hard_sigmoid hard_swish sigmoid tanh softplus"
    x = layers.PReLU("normal")(layers.Dense(4)(image))
    parts = [
        layers.Dense(3, activation=name)(x)
        for name in [*names.split(), "mish", "softsign", "celu", "hard_tanh", "exponential"]
    ]
    smooth = layers.Dense(3)(x)
    parts.append(keras.activations.gelu(smooth, approximate=True))
    x = layers.LayerNormalization()(layers.Concatenate()(parts))
    model = keras.Model(image, layers.Dense(5)(layers.Flatten()(x)))
    return Source("test:activated", model, tuple(range(5)), None, None, Preprocessing(), None)


MODELS = pytest.mark.parametrize(
    "make",
    [
        digits,
        normalized,
        *(
            pytest.param(make, marks=pytest.mark.slow)
            for make in (lenet, strided, depthwise, frozen, activated)
        ),
    ],
)
ROOT = Path(__file__).parents[3]
ARM64_ROOT = Path(os.environ.get("ARM64_ROOT", "/var/tmp/arm64-root"))  # noqa: S108


@MODELS
def test_losses_equal_tensorflow_over_ten_steps(make: Callable[[], Source], tmp_path: Path) -> None:
    want = train_in_tensorflow(make, Sgd(0.02, 0.9), tmp_path)
    pythons = [sys.executable, *filter(None, [os.environ.get("TFPLUS_LEGACY_PYTHON")])]
    for python in pythons:
        for delegate in ("xnnpack", "plain"):
            assert_losses(want, [python, str(RUNNER)], delegate, tmp_path)


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(Sgd(0.02), marks=pytest.mark.slow),
        pytest.param(Adam(), marks=pytest.mark.slow),
        pytest.param(Adam(0.002, amsgrad=True), marks=pytest.mark.slow),
        Adjusted(Adam(0.002), Clip("global_clipnorm", 0.5), 0.01),
        pytest.param(RmsProp(), marks=pytest.mark.slow),
        pytest.param(RmsProp(0.0005, 0.8, 0.9, centered=True), marks=pytest.mark.slow),
        pytest.param(Adjusted(Sgd(0.05), Clip("clipnorm", 0.1), 0.1), marks=pytest.mark.slow),
        pytest.param(Adjusted(Sgd(0.05), Clip("clipvalue", 0.01)), marks=pytest.mark.slow),
    ],
    ids=["sgd", "adam", "amsgrad", "adamw", "rmsprop", "rmsprop-centered", "decay", "clipvalue"],
)
def test_losses_of_every_optimizer(optimizer: Optimizer, tmp_path: Path) -> None:
    want = train_in_tensorflow(digits, optimizer, tmp_path)
    pythons = [sys.executable, *filter(None, [os.environ.get("TFPLUS_LEGACY_PYTHON")])]
    for python in pythons:
        for delegate in ("xnnpack", "plain"):
            assert_losses(want, [python, str(RUNNER)], delegate, tmp_path)


@pytest.mark.slow
def test_losses_of_a_batch_normalized_net(tmp_path: Path) -> None:
    # The net ends in maps of one pixel, normalized over eight rows. Whoever moves an input by its
    # last bit may push one value over a ReLU's corner, and TensorFlow's own loss is then 1e-5 off,
    # and 7e-4 four steps later. So the first half is held tight, the rest as errors may grow.
    rtol = 1e-4 * 3.0 ** np.maximum(0, np.arange(STEPS) - 4)
    want = train_in_tensorflow(mobilenet, Sgd(0.001, 0.9), tmp_path)
    pythons = [sys.executable, *filter(None, [os.environ.get("TFPLUS_LEGACY_PYTHON")])]
    for python in pythons:
        for delegate in ("xnnpack", "plain"):
            assert_losses(want, [python, str(RUNNER)], delegate, tmp_path, rtol=rtol)


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or not (ARM64_ROOT / "v").is_dir(),
    reason="needs root and an emulated Pi: scripts/arm64-root builds one",
)
# Emulated, a process of NumPy and a runtime takes seconds before its first step.
@pytest.mark.parametrize("make", [digits, normalized, depthwise, activated])
def test_losses_equal_tensorflow_on_an_emulated_pi(
    make: Callable[[], Source], tmp_path: Path
) -> None:
    want = train_in_tensorflow(make, Sgd(0.02, 0.9), tmp_path)
    for runtime in ("litert", "tflite"):
        command = [str(ROOT / "scripts/arm64-run"), "--bind", str(tmp_path)]
        command += [f"/v/{runtime}/bin/python", "/tfplus/tests/export/support/run_steps.py"]
        assert_losses(want, command, "xnnpack", tmp_path, Path("/mnt"))

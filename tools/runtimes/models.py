"""The fixed set of models that every version of a runtime, and of TensorFlow, is tried with.

usage: python tools/runtimes/models.py FOLDER [MODEL ...]

Writes for each model `NAME.tflite`, exported for both runtimes, and `NAME.safetensors`: its batch
and `loss`, float32 [STEPS], of Keras' own training on it. The models are small and differ in
what has made a runtime fail: depthwise convolutions, batch statistics, loops written out, gathers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType

import keras
import numpy as np
from keras import layers
from safetensors.numpy import save_file

from tfplus.model_file.manifest import Preprocessing
from tfplus_export.optimizers import Sgd
from tfplus_export.pipeline import api
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source
from tfplus_export.zoo import reduced_mobilenet

BATCH_SIZE, CLASSES, STEPS = 8, 10, 4
_LEARNING_RATE, _MOMENTUM = 0.05, 0.9
_IMAGE = (16, 16, 3)
_WORDS, _LENGTH = 50, 12


def _dense() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((20,), name="x"),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(CLASSES, name="logits"),
        ],
        name="dense",
    )


def _convolution() -> keras.Model:
    x = image = keras.Input(_IMAGE, name="x")
    x = layers.Conv2D(16, 5, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(24, 3, 2, "same", activation="relu", name="conv2")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x), name="convolution")


def _residual() -> keras.Model:
    x = image = keras.Input(_IMAGE, name="x")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv1")(x)
    y = layers.BatchNormalization(momentum=0.9, name="norm1")(x)
    y = layers.ReLU(name="relu1")(y)
    y = layers.Conv2D(16, 3, padding="same", name="conv2")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.AveragePooling2D(4, name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x), name="residual")


def _depthwise() -> keras.Model:
    x = image = keras.Input(_IMAGE, name="x")
    x = layers.Conv2D(32, 1, activation="relu", name="widen")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise1")(x)
    x = layers.DepthwiseConv2D(3, 2, "same", activation="relu", name="depthwise2")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x), name="depthwise")


def _mobilenet() -> keras.Model:
    return reduced_mobilenet.build((32, 32, 3), range(CLASSES))


def _recurrent() -> keras.Model:
    x = series = keras.Input((_LENGTH, 6), name="x")
    x = layers.GRU(16, name="gru")(x)
    return keras.Model(series, layers.Dense(CLASSES, name="logits")(x), name="recurrent")


def _attention() -> keras.Model:
    x = words = keras.Input((_LENGTH,), dtype="int32", name="x")
    x = layers.Embedding(_WORDS, 16, name="embedding")(x)
    y = layers.MultiHeadAttention(2, 8, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm")(layers.Add(name="add")([x, y]))
    x = layers.Dense(32, activation="gelu", name="wide")(x)
    x = layers.GlobalAveragePooling1D(name="average")(x)
    return keras.Model(words, layers.Dense(CLASSES, name="logits")(x), name="attention")


MODELS: MappingProxyType[str, Callable[[], keras.Model]] = MappingProxyType(
    {
        "dense": _dense,
        "convolution": _convolution,
        "residual": _residual,
        "depthwise": _depthwise,
        "mobilenet": _mobilenet,
        "recurrent": _recurrent,
        "attention": _attention,
    }
)


def write(name: str, folder: Path) -> None:
    """Exports a model, compared with TensorFlow as ever, and records Keras' own training.

    Args:
      name: one of `MODELS`.
      folder: gets `NAME.tflite` and `NAME.safetensors`.

    Raises:
      ExportError: what was exported does not compute what TensorFlow does.
    """
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    options = Options(
        BATCH_SIZE,
        optimizer=Sgd(_LEARNING_RATE, momentum=_MOMENTUM),
        parity_steps=2,
        targets=(("host", "ai-edge-litert"), ("host", "tflite-runtime")),
    )
    source = Source(
        f"tfplus:{name}", model, tuple(range(CLASSES)), None, None, Preprocessing(), None
    )
    folder.mkdir(parents=True, exist_ok=True)
    exported = api.export(source, folder / f"{name}.tflite", options, lambda text: None)
    rng = np.random.default_rng(0)
    (x,) = (i for n, i in exported.manifest.signatures["train"].inputs.items() if n != "y")
    y = rng.integers(0, CLASSES, BATCH_SIZE).astype(np.int32)
    if x.dtype == "int32":
        values = rng.integers(0, _WORDS, x.shape).astype(np.int32)
    else:
        values = rng.random(x.shape, np.float32)
    model.compile(
        keras.optimizers.SGD(_LEARNING_RATE, momentum=_MOMENTUM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    losses = [float(model.train_on_batch(values, y)) for _ in range(STEPS)]
    inputs = {n: y if n == "y" else values for n in exported.manifest.signatures["train"].inputs}
    kept = {f"batch/{n}": np.ascontiguousarray(t) for n, t in inputs.items()}
    save_file(kept | {"loss": np.asarray(losses, np.float32)}, folder / f"{name}.safetensors")


def main(arguments: Sequence[str]) -> int:
    """Writes the models named, or all."""
    folder, *names = arguments
    for name in names or MODELS:
        write(name, Path(folder))
        sys.stdout.write(f"{name}: exported, agrees with Keras {keras.__version__}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Made as on a machine without a GPU, so that every machine makes the same files.
    os.environ |= {"VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent"}
    sys.exit(main(sys.argv[1:]))

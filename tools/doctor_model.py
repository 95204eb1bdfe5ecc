"""The small model that `tfplus doctor` trains on a device, and what TensorFlow makes of it.

usage: python tools/doctor_model.py [--check]

Writes `device_agent/tfplus_agent/doctor/probe/`: the exported file, a batch, and the weights
after two steps of Keras' own training. `--check` compares with what lies there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers
from safetensors.numpy import load_file, save_file

from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.preprocessing import Preprocessing
from tfplus.system import temporary
from tfplus_export.optimizers import Sgd
from tfplus_export.pipeline import api
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source

FOLDER = Path(__file__).parents[1] / "device_agent" / "tfplus_agent" / "doctor" / "probe"
MODEL, STEPS = "model.tflite", "steps.safetensors"
BATCH_SIZE, CLASSES, TAKEN = 16, 10, 2
_LEARNING_RATE = 0.1
# Of weights, relative to the largest; another TensorFlow rounds otherwise.
_TOLERANCE = 1e-4


def model() -> keras.Model:
    """The operations that most models train with, for 8×8 images."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((8, 8, 1), name="x")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Activation("relu", name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x), name="probe")


def write(folder: Path) -> Artifact:
    """Writes the file, and what Keras' own training makes of the model in two steps.

    Args:
      folder: gets `model.tflite` and `steps.safetensors`: `batch/NAME`, `after/VARIABLE` and
        `loss`, float32 [2].
    """
    # Made as on a machine without a GPU, so that every machine makes the same file.
    os.environ |= {"VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent"}
    built = model()
    options = Options(
        BATCH_SIZE,
        optimizer=Sgd(_LEARNING_RATE, momentum=0.9),
        parity_steps=1,
        targets=(("host", "ai-edge-litert"), ("host", "tflite-runtime")),
        accelerators=("gpu",),
    )
    source = Source(
        "tfplus:probe", built, tuple(range(CLASSES)), None, None, Preprocessing(1 / 16, 0.0), None
    )
    folder.mkdir(parents=True, exist_ok=True)
    exported = api.export(source, folder / MODEL, options, lambda text: None)
    rng = np.random.default_rng(0)
    x = rng.random((BATCH_SIZE, 8, 8, 1), np.float32)
    y = rng.integers(0, CLASSES, BATCH_SIZE).astype(np.int32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    built.compile(keras.optimizers.SGD(_LEARNING_RATE, momentum=0.9), loss)
    losses = [float(built.train_on_batch(x, y)) for _ in range(TAKEN)]
    after = {f"after/shared/{v.path}": np.asarray(v.value) for v in built.variables}
    kept = {"batch/x": x, "batch/y": y, "loss": np.asarray(losses, np.float32)}
    save_file({n: np.ascontiguousarray(t) for n, t in (kept | after).items()}, folder / STEPS)
    return exported


def differences(committed: Path, made: Path) -> list[str]:
    """What differs between two folders, apart from what was measured, rounding, and operators.

    A better lowering leaves the committed file right.
    """
    found: list[str] = []
    old, new = (artifact.read(folder / MODEL).manifest for folder in (committed, made))
    # Each signature with its tensors; where a value lies in the file depends on the operators.
    for field in ("signatures", "optimizer", "architecture_hash"):
        if getattr(old, field) != getattr(new, field):
            found.append(f"{MODEL}: {field}")
    steps = load_file(committed / STEPS), load_file(made / STEPS)
    if steps[0].keys() != steps[1].keys():
        return [*found, f"{STEPS}: names"]
    for name, value in steps[0].items():
        error = float(np.max(np.abs(value - steps[1][name])))
        if error > _TOLERANCE * max(1.0, float(np.max(np.abs(value)))):
            found.append(f"{STEPS}: {name} by {error:.1e}")
    return found


def main(arguments: Sequence[str]) -> int:
    """Writes, or compares."""
    if not arguments:
        write(FOLDER)
        return 0
    with temporary.folder("probe") as folder:
        write(folder)
        found = differences(FOLDER, folder)
    for line in found:
        sys.stderr.write(f"{line} differs: run scripts/doctor-model\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Ten steps of a model under a TFLite runtime, and the same ten in TensorFlow."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfplus.model_file import artifact
from tfplus_export.optimizers import Optimizer
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source

STEPS, BATCH = 10, 8
RUNNER = Path(__file__).parent / "run_steps.py"


def train_in_tensorflow(
    make: Callable[[], Source], optimizer: Optimizer, folder: Path
) -> list[float]:
    """Exports a model and its batches into the folder, and returns TensorFlow's losses on them."""
    loaded = make()
    path = folder / "model.tflite"
    written = api.export(loaded, path, api.Options(BATCH, optimizer=optimizer), lambda text: None)
    rng = np.random.default_rng(3)
    taken = written.manifest.signatures["train"].inputs["x"]
    shape = (STEPS, *taken.shape)
    x = rng.normal(size=shape) if taken.dtype == "float32" else rng.integers(0, 9, shape)
    x = x.astype(taken.dtype)
    y = rng.integers(0, len(written.manifest.classes), (STEPS, BATCH)).astype(np.int32)
    np.savez(folder / "batches.npz", x=x, y=y)
    assert artifact.read(path).sha256 == written.sha256
    return tensorflow_losses(
        loaded.model, optimizer, x, y, from_logits=not ends_in_softmax(loaded.model)
    )


def assert_losses(
    want: list[float],
    command: list[str],
    delegate: str,
    folder: Path,
    seen: Path | None = None,
    rtol: float | npt.NDArray[np.float64] = 1e-5,
) -> None:
    """Losses of the exported file against TensorFlow's: relative, of all steps or of each."""
    seen = seen or folder
    done = subprocess.run(
        [*command, delegate, str(seen / "model.tflite"), str(seen / "batches.npz")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    got = np.array([float(line) for line in done.stdout.split()])
    assert got.shape == (STEPS,)
    error = np.abs(got - want) / np.abs(want)
    assert np.all(error <= rtol), f"{command[0]} {delegate}: {error}, got {got}, want {want}"


def tensorflow_losses(
    model: keras.Model, optimizer: Optimizer, x: np.ndarray, y: np.ndarray, *, from_logits: bool
) -> list[float]:
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    reference = optimizer.keras()
    losses = []
    for batch, labels in zip(x, y, strict=True):
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(batch, training=True))
        variables = model.trainable_variables
        # Of an embedding, as one gradient rather than as one a token.
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        reference.apply_gradients(zip(gradients, variables, strict=True))
        losses.append(float(loss))
    return losses


def ends_in_softmax(model: keras.Model) -> bool:
    return getattr(model.layers[-1], "activation", None) is keras.activations.softmax

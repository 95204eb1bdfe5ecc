"""A device trains what is no choice of one class: two inputs, two outputs, weights, numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfplus.model_file import artifact
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.device import Device

# In a process of its own: TensorFlow's start-up warnings would count as errors here.
_EXPORT = """
import sys
from pathlib import Path
import keras
from keras import layers
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.pipeline import api
from tfplus_export.sources import source
from tfplus_export.tracing import model_io
from tfplus_export.losses.compiled import compiled
keras.utils.set_random_seed(0)
words = keras.Input((3,), dtype="int32", name="words")
sizes = keras.Input((2,), name="sizes")
x = layers.Concatenate()([layers.Flatten()(layers.Embedding(6, 4)(words)), sizes])
outputs = {"sum": layers.Dense(1)(x), "odd": layers.Dense(1, activation="sigmoid")(x)}
model = keras.Model({"words": words, "sizes": sizes}, outputs)
model.compile("sgd", {"sum": "mse", "odd": "binary_crossentropy"})
losses = compiled(model, list(model_io.outputs(model)))
made = source.Source("test", model, None, None, losses, Preprocessing(), None)
options = api.Options(8, parity_steps=1, sample_weights=True)
api.export(made, Path(sys.argv[1]), options, lambda text: None)
"""


@pytest.mark.slow
def test_a_model_of_several_inputs_and_outputs_learns(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    subprocess.run(
        [sys.executable, "-c", _EXPORT, str(path)], check=True, timeout=120, capture_output=True
    )
    written = artifact.read(path)
    rng = np.random.default_rng(0)
    words, sizes = rng.integers(0, 6, (60, 3)), rng.normal(size=(60, 2))
    # A sum of the sizes, and whether the first word is odd.
    arrays = {"words": words, "sizes": sizes, "y_sum": sizes.sum(1), "y_odd": words[:, 0] % 2}
    np.savez(tmp_path / "d.npz", **arrays, sample_weight=np.ones(60))
    np.savez(tmp_path / "e.npz", **arrays)
    device = Device(
        DeviceConfig("a", tmp_path / "s", tmp_path / "d.npz", tmp_path / "e.npz", threads=1)
    )
    try:
        content = path.read_bytes()
        device.models.add(written.sha256, len(content), [content])
        device.load(written.sha256)
        before = device.evaluate()
        summary = device.train(150, seed=1)
        after = device.evaluate()
    finally:
        device.close()
    assert before is not None
    assert after is not None
    assert set(after.metrics) == {"sum_mae", "odd_accuracy"}
    assert after.metrics["sum_mae"] < 0.1 < before.metrics["sum_mae"]
    assert after.metrics["odd_accuracy"] > 0.9
    assert (after.samples, after.known_samples, after.known_accuracy) == (60, 60, None)
    assert set(summary.mean_metrics) == {"sum_mae", "sum_loss", "odd_accuracy", "odd_loss"}

"""Models composed at random, exported whole: converter and runtime are put to the test, too."""

from __future__ import annotations

from pathlib import Path
from random import Random

import keras
import pytest
from keras import layers
from random_models import draw_recipe

from tfplus.model_file.manifest import Preprocessing
from tfplus_export.optimizers import Sgd
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source

STEPS = 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 13))
def test_an_export_equals_tensorflow(seed: int, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    drawn = draw_recipe(Random(seed)).build()  # noqa: S311
    model = keras.Model(drawn.inputs, layers.Dense(3)(layers.Flatten()(drawn.outputs[0])))
    source = Source("random", model, (0, 1, 2), None, None, Preprocessing(), None)
    options = api.Options(4, optimizer=Sgd(0.01), parity_steps=STEPS)
    written = api.export(source, tmp_path / "m.tflite", options, lambda text: None)
    assert [run["steps"] for run in written.manifest.parity["runs"]] == [STEPS, 1]

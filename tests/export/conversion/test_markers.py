"""A variable's initial value shares its bytes with no constant of the step."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tfplus.model_file.manifest import Preprocessing
from tfplus_export.conversion.markers import index_of, marker
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source


@pytest.mark.parametrize("index", [0, 1, 7, 500])
def test_a_marker_tells_its_variable(index: int) -> None:
    values = np.full((2, 3), marker(index), np.float32)
    assert np.isfinite(values).all()
    assert index_of(values, 501) == index
    assert index_of(values, index) is None
    values[1, 2] = marker(index + 1)
    assert index_of(values, 501) is None


@pytest.mark.parametrize("values", [np.zeros(4), np.ones(4), np.full(4, 2.0), np.zeros(0)])
def test_a_constant_is_no_marker(values: np.ndarray) -> None:
    assert index_of(values.astype(np.float32), 100) is None


def test_a_constant_of_ones_beside_a_first_variable_of_its_size(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 4))
    # `scale` is the first variable, of 4 elements; its gradient is spread by 4 ones.
    attended = layers.AdditiveAttention()([x, x])
    model = keras.Model(x, layers.Dense(3)(layers.Flatten()(attended)))
    source = Source("test", model, (0, 1, 2), None, None, Preprocessing(), None)
    api.export(source, tmp_path / "m.tflite", api.Options(4, parity_steps=1), lambda text: None)

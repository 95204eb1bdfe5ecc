"""The comparison at export sees every row of a batch, and NaN in any step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfplus.errors import ExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.lowering.ops.convolution import conv2d
from tfplus_export.parity.errors.step_error import lower_median
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source


def test_a_gradient_that_is_wrong_behind_the_first_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = conv2d.filter_gradient

    def wrong(x: Any, dy: Any, *arguments: Any, **keywords: Any) -> Any:
        factors = np.ones((16, 1, 1, 1), np.float32)
        factors[2:] = 1.5
        return right(x, dy * tf.constant(factors), *arguments, **keywords)

    monkeypatch.setattr(conv2d, "filter_gradient", wrong)
    parts = [layers.Conv2D(2, 3, name="conv"), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((4, 4, 1)), *parts])
    source = Source("test", model, None, None, None, Preprocessing(), None)
    with pytest.raises(ExportError, match="worst at 'shared/conv/kernel'"):
        api.export(source, tmp_path / "m.tflite", api.Options(16), lambda text: None)
    assert not list(tmp_path.iterdir())


def test_nan_in_one_step_counts() -> None:
    assert lower_median([1e-5, 3e-5, 0.5, 2e-5]) == 2e-5
    for place in range(3):
        errors = [1e-5, 1e-5, 1e-5]
        errors[place] = math.nan
        assert math.isnan(lower_median(errors))

"""Compiled metrics that an exported step has no counterpart of are named."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from tfplus_export.sources.reported_metrics import unreported


@pytest.mark.parametrize(
    ("metrics", "missing"),
    [
        (["accuracy", "mae"], ()),
        ([keras.metrics.SparseCategoricalAccuracy()], ()),
        (["accuracy", keras.metrics.AUC(name="auc")], ("auc",)),
        (["top_k_categorical_accuracy"], ("top_k_categorical_accuracy",)),
        (["MeanAbsoluteError", "AUC"], ("AUC",)),
        ({"out": [keras.metrics.Precision(name="p"), "acc"]}, ("p",)),
        (None, ()),
    ],
)
def test_metrics_of_a_compiled_model(metrics: Any, missing: tuple[str, ...]) -> None:
    x = keras.Input((3,))
    model = keras.Model(x, layers.Dense(1, activation="sigmoid", name="out")(x))
    model.compile("sgd", "binary_crossentropy", metrics=metrics)
    assert unreported(model) == missing


def test_a_model_that_is_not_compiled_has_none() -> None:
    x = keras.Input((3,))
    assert unreported(keras.Model(x, layers.Dense(1)(x))) == ()

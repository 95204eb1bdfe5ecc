from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tfplus.model_file.manifest import Output, Preprocessing, Signature, TensorInfo

Make = Callable[..., Any]


@pytest.fixture
def made_for() -> Make:
    """Makes a manifest of a classifier: shape of a sample, number of classes."""

    def make(shape: tuple[int, ...], width: int = 3, classes: tuple[int, ...] = ()) -> Any:
        fields: dict[str, Any] = {
            "name": "y", "kind": "logits", "logits": "", "target": "y", "targets": "label",
            "padding": -1.0, "metric": "accuracy", "loss": {}, "loss_weight": 1.0,
        }  # fmt: skip
        x, y = TensorInfo((4, *shape), "float32"), TensorInfo((4,), "int32")
        predictions = TensorInfo((4, width), "float32")
        return SimpleNamespace(
            name="m",
            inputs={"x": TensorInfo(shape, "float32")},
            outputs=(Output(**fields),),
            classes=classes,
            preprocessing=Preprocessing(),
            vocabularies={},
            signatures={
                "train": Signature({"x": x, "y": y}, {}),
                "infer": Signature({"x": x}, {"y": predictions}),
            },
        )

    return make

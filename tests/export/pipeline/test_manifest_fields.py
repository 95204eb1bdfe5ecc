"""Files that may exchange weights have one architecture hash, and no others."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tfplus.model_file.manifest import FrozenWeight, Signature, TensorInfo, Variable
from tfplus_export.pipeline.manifest.manifest_fields import architecture_hash

WEIGHT = Variable("shared/a/kernel", (4, 3), "float32", "weight", trainable=True, offset=64)
FROZEN = FrozenWeight("shared/b/kernel", (3,), "ab" * 32)
TRAIN = Signature({"x": TensorInfo((8, 4), "float32")}, {"loss": TensorInfo((1,), "float32")})
OPTIMIZER = {"name": "sgd", "learning_rate": 0.1}


def hashed(
    variable: Variable = WEIGHT,
    frozen: FrozenWeight = FROZEN,
    signature: Signature = TRAIN,
    optimizer: dict[str, Any] = OPTIMIZER,
) -> str:
    return architecture_hash((variable,), (frozen,), {"train": signature}, optimizer)


def test_where_a_value_lies_makes_no_difference() -> None:
    elsewhere = dataclasses.replace(WEIGHT, offset=128, storage="float16")
    assert hashed(elsewhere) == hashed()


@pytest.mark.parametrize(
    "changed",
    [
        {"variable": dataclasses.replace(WEIGHT, name="shared/c/kernel")},
        {"variable": dataclasses.replace(WEIGHT, shape=(3, 4))},
        {"variable": dataclasses.replace(WEIGHT, trainable=False)},
        {"frozen": dataclasses.replace(FROZEN, sha256="cd" * 32)},
        {"signature": dataclasses.replace(TRAIN, inputs={"x": TensorInfo((9, 4), "float32")})},
        {"optimizer": OPTIMIZER | {"momentum": 0.9}},
    ],
)
def test_another_architecture_has_another_hash(changed: dict[str, Any]) -> None:
    assert hashed(**changed) != hashed()

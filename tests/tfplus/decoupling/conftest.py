"""A plan of three classes and two decoupled layers, without a model behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfplus.decoupling import plan_folder
from tfplus.decoupling.plan import Accuracy, Cost, Costs, DecoupledLayer, Plan

CLASSES = (4, 7, 2)


def make_plan(seed: int = 0) -> Plan:
    """Its id is not set."""
    rng = np.random.default_rng(seed)

    def values(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    weights = {"shared/conv1/kernel": values(3, 3, 1, 4), "shared/conv1/bias": values(4)}
    for label in CLASSES:
        weights |= {
            f"task/{label}/conv2/kernel": values(3, 3, 4, 2),
            f"task/{label}/norm/moving_mean": values(2),
            f"task/{label}/norm/moving_variance": np.abs(values(2)) + 1,
            f"task/{label}/logits/kernel": values(2, 1),
        }
    layers = tuple(
        DecoupledLayer(name, values(3, 8), np.arange(6, dtype=np.int32).reshape(3, 2))
        for name in ("conv2", "conv3")
    )
    cost = Cost(100, 300, 10)
    return Plan(
        plan_id="",
        source="model.keras",
        classes=CLASSES,
        share=0.25,
        overlap=False,
        shared_layer="conv1",
        classifier="logits",
        activation="linear",
        output="logits",
        layers=layers,
        scale=1 / 16,
        offset=0.0,
        scales_floats=False,
        accuracy=Accuracy("d.npz", 60, 0.9, 0.3, 0.6, None),
        costs=Costs(cost, cost, Cost(None, None, 5), dict.fromkeys(CLASSES, cost)),
        weights=weights,
    )


@pytest.fixture
def plan() -> Plan:
    return make_plan()


@pytest.fixture
def folder(tmp_path: Path, plan: Plan) -> Path:
    """The plan on disk; its model file is no model."""
    path = tmp_path / "plan"
    plan_folder.write(path, plan, lambda file: file.write_bytes(b"model"))
    return path

"""Second moments are warmed whatever the optimizer calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from tfplus_export.losses import compiled
from tfplus_export.optimizers import Adam, Adjusted, RmsProp
from tfplus_export.optimizers.base import read_slots
from tfplus_export.parity.reference.reference import Reference
from tfplus_export.parity.samples.draw import RandomSamples
from tfplus_export.parity.warm_moments import warm
from tfplus_export.tracing import model_io
from tfplus_export.train_step import training

KERNEL, BIAS = "shared/conv/kernel", "shared/conv/bias"
SECOND_MOMENTS = Adam().second_moments()


class Curved(RmsProp):
    """An optimizer that nobody has heard of: its second moments are under a name of its own."""

    def second_moments(self) -> Mapping[str, str]:
        return {"curvature": "_velocities"}

    def state(self, weights: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        found = super().state(weights)
        return {n.replace("/square/", "/curvature/"): v for n, v in found.items()}

    def keras_state(self, optimizer: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
        return read_slots("curvature", names, optimizer._velocities)


def test_means_of_squares_become_those_of_their_layer() -> None:
    names = (
        f"optimizer/square/{KERNEL}",
        f"optimizer/square/{BIAS}",
        "optimizer/square/shared/a/b",
    )
    before = {n: np.zeros(2, np.float32) for n in (*names, f"optimizer/mean/{BIAS}", BIAS)}
    sizes: dict[str, float] = dict(zip(names, (4.0, 1e-16, 1.0), strict=True))
    after = {n: np.array([0.5, 1.5], np.float32) * sizes.get(n, 3.0) for n in before}
    found = warm(before, after, SECOND_MOMENTS)
    of_model = warm(before, after, SECOND_MOMENTS, ["shared/a/b"])
    np.testing.assert_array_equal(of_model["optimizer/square/shared/a/b"], np.full(2, 4.0))
    assert of_model.keys() == found.keys()
    want = {n: np.zeros(2) for n in before} | dict(zip(names, (4.0, 4.0, 1.0), strict=True))
    for name, value in want.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_an_optimizer_with_another_slot_is_warmed_too() -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="a")])
    optimizer = Adjusted(Curved(0.1))
    built = training.build(
        model,
        optimizer,
        losses=compiled.named("mse", list(model_io.outputs(model))),
        batch_size=4,
        infer_batch_size=1,
    )
    expected = Reference(model, built)
    moment = "optimizer/curvature/shared/a/kernel"
    assert not expected.state()[moment].any()
    expected.warm_up(RandomSamples().batch(built, np.random.default_rng(0)))
    warmed = expected.state()[moment]
    assert warmed.min() == warmed.max() > 0
    cold, after = {moment: np.zeros(2, np.float32)}, {moment: np.full(2, 3.0, np.float32)}
    found = warm(cold, after, optimizer.second_moments())
    np.testing.assert_array_equal(found[moment], after[moment])

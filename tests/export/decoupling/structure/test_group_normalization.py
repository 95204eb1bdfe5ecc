"""Group normalization in the tail: groups of a class's own channels, against NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cut_networks import IMAGE, images, trained_looking
from keras import layers

from tfplus.decoupling import plan_folder
from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export.decoupling import branches
from tfplus_export.decoupling.decouple import Options, decouple
from tfplus_export.decoupling.samples import Samples
from tfplus_export.decoupling.structure import tail

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
LABELS = (4, 0, 9)
KEPT, EPSILON = 5, 0.001


def network(*, affine: bool) -> keras.Model:
    """Sixteen filters, normalized in groups of four, without scale and shift if not affine."""
    keras.utils.set_random_seed(0)
    stack = [
        keras.Input(IMAGE),
        layers.Conv2D(4, 3, padding="same", activation="relu", name="stem"),
        layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv"),
        layers.GroupNormalization(4, scale=affine, center=affine, epsilon=EPSILON, name="norm"),
        layers.ReLU(name="relu"),
        layers.GlobalAveragePooling2D(name="gap"),
        layers.Dense(3, name="class"),
    ]
    return trained_looking(keras.Sequential(stack))


def at(model: keras.Model, name: str, x: np.ndarray) -> np.ndarray:
    return np.asarray(keras.Model(model.inputs[0], model.get_layer(name).output)(x))


@pytest.mark.parametrize("affine", [True, False])
def test_a_class_normalizes_over_its_own_channels(affine: bool, tmp_path: Path) -> None:
    original = network(affine=affine)
    found = tail.find(original, 1)
    x, y = images()
    given = Samples("d.npz", x, y, Preprocessing())
    decouple(found, LABELS, given, given, "m", tmp_path / "p", Options(), lambda text: None)
    plan = plan_folder.read(tmp_path / "p")
    (layer,) = plan.layers
    assert layer.filters.shape == (3, KEPT)
    built = branches.build(found, LABELS, {"conv": layer.filters})
    whole: Any = keras.models.load_model(tmp_path / "p" / "model.keras")
    conv = at(original, "conv", x).astype(np.float64)
    for place, label in enumerate(LABELS):
        own = layer.filters[place]
        # Five of sixteen channels in groups of at least four: one group.
        assert built.get_layer(f"task_{label}_norm").groups == 1
        values = conv[..., own]
        mean = values.mean(axis=(1, 2, 3), keepdims=True)
        expected = (values - mean) / np.sqrt(values.var(axis=(1, 2, 3), keepdims=True) + EPSILON)
        if affine:
            gamma, beta = original.get_layer("norm").get_weights()
            expected = expected * gamma[own] + beta[own]
        np.testing.assert_allclose(at(built, f"task_{label}_norm", x), expected, atol=1e-4)
        # Behind the normalization each filter has the mean and deviation that it had.
        was, now = at(original, "norm", x)[..., own], at(whole, f"task_{label}_norm", x)
        axes = (0, 1, 2)
        np.testing.assert_allclose(now.mean(axes), was.mean(axes), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(now.std(axes), was.std(axes), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("groups", "whole", "kept", "expected"),
    [(4, 16, 5, 1), (4, 16, 8, 2), (4, 16, 9, 1), (16, 16, 5, 5), (1, 16, 5, 1), (32, 512, 51, 3)],
)
def test_groups_are_no_smaller_than_they_were(
    groups: int, whole: int, kept: int, expected: int
) -> None:
    found = branches.groups_of(groups, whole, kept)
    assert found == expected
    assert kept % found == 0
    assert kept / found >= whole / groups or found == 1

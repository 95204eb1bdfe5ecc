"""`tfplus decouple`: what it measures, what it cuts and what it puts back, each against Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from small_cnn import network

from tfplus.decoupling import plan_folder
from tfplus.decoupling.assignment import assign
from tfplus_export.decoupling import branches, submodel
from tfplus_export.decoupling.structure import tail
from tfplus_export.tracing.naming import variable_names

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def x(data: Any) -> np.ndarray:
    with np.load(data) as arrays:
        return arrays["x"] / np.float32(255)


def made(model: keras.Model, name: str, x: np.ndarray) -> np.ndarray:
    """What a layer makes of all data at once."""
    return np.asarray(keras.Model(model.inputs[0], model.get_layer(name).output)(x, training=False))


def test_preferences_are_mean_activations_over_all_data(
    decoupled: Any, data: Any, x: np.ndarray
) -> None:
    with np.load(data) as arrays:
        y = arrays["y"]
    plan = plan_folder.read(decoupled.folder)
    assert plan.classes == (5, 0, 9)
    assert [e.name for e in plan.layers] == ["conv2", "conv3", "hidden"]
    is_normalized = any(e.name == "leaky" for e in decoupled.original.layers)
    for layer in plan.layers:
        # Behind normalization and activation.
        name = "leaky" if layer.name == "conv2" and is_normalized else layer.name
        found = made(decoupled.original, name, x).astype(np.float64)
        by_filter = found.reshape(len(found), -1, found.shape[-1]).mean(axis=1)
        expected = np.stack([by_filter[y == label].mean(axis=0) for label in plan.classes])
        np.testing.assert_allclose(layer.preference, expected, rtol=1e-5, atol=1e-6)
        count = found.shape[-1] // 3
        np.testing.assert_array_equal(layer.filters, assign(expected, count, overlap=False))
        assert layer.filters.shape == (3, count)


def test_each_stage_is_told(decoupled: Any, data: Any, x: np.ndarray) -> None:
    with np.load(data) as arrays:
        places = np.array([(5, 0, 9).index(v) for v in arrays["y"]])
    said = decoupled.said["accuracy"]
    for model, stage in ((decoupled.original, "before"), (decoupled.model, "recalibrated")):
        right = np.asarray(model(x, training=False)).argmax(axis=1) == places
        assert said[stage] == pytest.approx(right.mean())
    assert said["fine_tuned"] is None
    assert 0 <= said["pruned"] <= 1
    costs = decoupled.said["costs"]
    trained = sum(int(np.prod(v.shape)) for v in decoupled.model.trainable_variables)
    assert costs["whole"]["parameters"] == trained
    parts = [costs["shared"], *costs["branches"].values()]
    assert sum(p["parameters"] for p in parts) == trained
    assert sum(p["forward_flops"] for p in parts) == costs["whole"]["forward_flops"]
    assert costs["whole"]["forward_flops"] < costs["original"]["forward_flops"]


def test_pruning_equals_the_original_with_its_connections_between_classes_zeroed(
    x: np.ndarray,
) -> None:
    """The oracle has the original's architecture: kernels are masked, and nothing is cut out."""
    model = network()
    found = tail.find(model, 2)
    rng = np.random.default_rng(0)
    counts = {"conv2": (9, 3), "conv3": (12, 4), "hidden": (7, 2)}
    filters = {
        n: np.sort(rng.permutation(size)[: 3 * k].reshape(3, k)).astype(np.int32)
        for n, (size, k) in counts.items()
    }
    built = branches.build(found, (5, 0, 9), filters)
    for place, label in enumerate((5, 0, 9)):
        masked = keras.models.clone_model(model)
        masked.set_weights(model.get_weights())
        masked.layers[-1].activation = keras.activations.linear
        keep = {n: filters[n][place] for n in counts}
        wide = np.concatenate([2 * keep["conv2"], 2 * keep["conv2"] + 1])
        flat = np.concatenate([p * 12 + keep["conv3"] for p in range(4)])
        for name, channels in (("conv3", wide), ("hidden", flat), ("class", keep["hidden"])):
            layer = masked.get_layer(name)
            kernel, bias = (np.array(v) for v in layer.get_weights())
            gone = np.setdiff1d(np.arange(kernel.shape[-2]), channels)
            kernel[..., gone, :] = 0
            layer.set_weights([kernel, bias])
        expected = np.asarray(masked(x, training=False))[:, place : place + 1]
        logit = made(built, f"task_{label}_class", x)
        np.testing.assert_allclose(logit, expected, rtol=1e-5, atol=1e-5)


def test_recalibrated_filters_have_the_mean_and_deviation_that_they_had(
    decoupled: Any, x: np.ndarray
) -> None:
    plan = plan_folder.read(decoupled.folder)
    original = decoupled.original
    for layer in plan.layers:
        is_normalized = layer.name == "conv2" and any(e.name == "norm" for e in original.layers)
        plain = keras.models.clone_model(original)
        plain.set_weights(original.get_weights())
        before = "norm" if is_normalized else layer.name
        if not is_normalized:
            plain.get_layer(layer.name).activation = keras.activations.linear
        was = made(plain, before, x)
        axes = tuple(range(was.ndim - 1))
        for place, label in enumerate(plan.classes):
            now = made(decoupled.model, f"task_{label}_{before}", x)
            own = layer.filters[place]
            np.testing.assert_allclose(now.mean(axes), was.mean(axes)[own], rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(now.std(axes), was.std(axes)[own], rtol=1e-3, atol=1e-4)


def test_a_sub_models_logits_are_the_global_models(decoupled: Any, x: np.ndarray) -> None:
    plan = plan_folder.read(decoupled.folder)
    logits = made(decoupled.model, "class_logits", x)
    np.testing.assert_allclose(
        np.asarray(keras.ops.softmax(logits)), decoupled.model(x, training=False), atol=1e-6
    )
    part = submodel.build(decoupled.model, plan, (9, 5))
    np.testing.assert_allclose(made(part, "class_logits", x), logits[:, [2, 0]], atol=1e-6)
    assert part.output_names == ["class"]


def test_slices_bear_their_class(decoupled: Any) -> None:
    plan = plan_folder.read(decoupled.folder)
    names = set(variable_names(decoupled.model).values())
    assert "task/5/conv2/kernel" in names
    assert {n.partition("/")[0] for n in names} >= {"shared", "task"}
    assert set(plan.weights) == {n for n in names if "seed" not in n}
    assert set(plan.shared_slices()) == {"shared/stem/kernel", "shared/stem/bias"}


def test_a_class_depends_on_its_own_branch_alone(decoupled: Any, x: np.ndarray) -> None:
    model = keras.models.clone_model(decoupled.model)
    model.set_weights(decoupled.model.get_weights())
    for layer in model.layers:
        if layer.name.startswith("task_0_"):
            layer.set_weights([v + 1 for v in layer.get_weights() if v.dtype.kind == "f"])
    was, now = (made(m, "class_logits", x) for m in (decoupled.model, model))
    np.testing.assert_array_equal(was[:, [0, 2]], now[:, [0, 2]])
    assert (was[:, 1] != now[:, 1]).any()
    assert isinstance(model.layers[-1], layers.Activation)

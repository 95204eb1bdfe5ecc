"""Residual networks, MobileNetV2, concatenations, models within models: what is cut is exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cut_networks import CLASSES, NETWORKS, Network, images, trained_looking

from tfplus.decoupling import plan_folder
from tfplus.decoupling.plan import Plan
from tfplus.decoupling.recomposition import Part, recompose
from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export import zoo
from tfplus_export.decoupling import branches, submodel
from tfplus_export.decoupling.decouple import Options, decouple
from tfplus_export.decoupling.samples import Samples
from tfplus_export.decoupling.structure import tail
from tfplus_export.tracing.naming import variable_names

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
LABELS = (4, 0, 9)


@dataclass(frozen=True)
class Cut:
    """A network, its tail and its plan."""

    network: Network
    original: keras.Model
    found: tail.Tail
    plan: Plan
    whole: keras.Model


FAST = "resnet"
EACH = [pytest.param(n, marks=[] if n == FAST else pytest.mark.slow) for n in NETWORKS]


@pytest.fixture(scope="module", params=EACH)
def cut(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cut:
    network = NETWORKS[request.param]
    keras.utils.set_random_seed(0)
    original = trained_looking(network.build())
    found = tail.find(original, network.convolutions)
    x, y = images()
    given = Samples("d.npz", x, y, Preprocessing())
    folder: Path = tmp_path_factory.mktemp("cut") / "plan"
    # Classes share filters where there are fewer than classes need.
    options = Options(share=0.4, overlap=request.param == "vgg")
    if request.param != "vgg":
        options = Options()
    decouple(found, LABELS, given, given, "m", folder, options, lambda text: None)
    whole: Any = keras.models.load_model(folder / "model.keras")
    return Cut(network, original, found, plan_folder.read(folder), whole)


def at(model: keras.Model, name: str, x: np.ndarray) -> np.ndarray:
    return np.asarray(keras.Model(model.inputs[0], model.get_layer(name).output)(x))


def masked(cut: Cut, own: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Logits of the original, layer by layer, with the channels of other classes put to zero."""
    model = cut.found.model
    made = {id(model.inputs[0]): x}
    for layer in model.layers:
        node = layer._inbound_nodes[-1]
        if not node.input_tensors:
            continue
        given = [made[id(t)] for t in node.input_tensors]
        if layer.name == "class":
            kernel, bias = layer.get_weights()
            return np.asarray(given[0]) @ kernel + bias
        value = np.array(layer(given[0] if len(given) == 1 else given))
        if (owner := cut.network.masks.get(layer.name)) is not None:
            gone = np.setdiff1d(np.arange(value.shape[-1]), own[owner])
            value[..., gone] = 0
        made[id(node.output_tensors[0])] = value
    raise AssertionError


def test_filters_go_together_where_they_are_joined(cut: Cut) -> None:
    assert sorted(cut.found.decoupled) == sorted(cut.network.filters)
    leader = cut.found.channels.leader
    tied = {name: group[0] for group in cut.network.tied for name in group}
    for a in cut.found.decoupled:
        for b in cut.found.decoupled:
            together = tied.get(a, a) == tied.get(b, b)
            assert (leader(a) == leader(b)) is together
    by_name = {layer.name: layer for layer in cut.plan.layers}
    for group in cut.network.tied:
        for name in group[1:]:
            np.testing.assert_array_equal(by_name[name].filters, by_name[group[0]].filters)
            np.testing.assert_array_equal(by_name[name].preference, by_name[group[0]].preference)


def test_pruning_equals_the_original_with_other_classes_channels_zeroed(cut: Cut) -> None:
    x, _ = images()
    filters = {layer.name: layer.filters for layer in cut.plan.layers}
    built = branches.build(cut.found, LABELS, filters)
    for place, label in enumerate(LABELS):
        own = {name: filters[name][place] for name in filters}
        expected = masked(cut, own, x)[:, place]
        logit = at(built, f"task_{label}_class", x)[:, 0]
        np.testing.assert_allclose(logit, expected, rtol=1e-4, atol=1e-5)


def test_sub_models_have_the_global_models_logits_and_slices(cut: Cut) -> None:
    x, _ = images()
    every = np.stack([at(cut.whole, f"task_{c}_class", x)[:, 0] for c in LABELS], axis=1)
    for labels in ((9, 4), (0,), LABELS):
        part = submodel.build(cut.whole, cut.plan, labels)
        untyped: Any = part
        logits = np.stack([at(part, f"task_{c}_class", x)[:, 0] for c in labels], axis=1)
        np.testing.assert_allclose(
            logits, every[:, [LABELS.index(c) for c in labels]], rtol=0, atol=1e-6
        )
        held = {e.name.split("_")[1] for e in untyped.layers if e.name.startswith("task_")}
        assert held == {str(c) for c in labels}
    names = variable_names(cut.whole)
    for variable in cut.whole.variables:
        np.testing.assert_array_equal(cut.plan.weights[names[id(variable)]], variable)


def test_recomposed_from_sub_models_it_is_the_same_to_the_byte(cut: Cut) -> None:
    parts: list[Part] = []
    for labels in ((9, 4), (0, 9)):
        model = submodel.build(cut.whole, cut.plan, labels)
        names = variable_names(model)
        held = {names[id(v)]: np.asarray(v) for v in model.variables}
        parts.append(Part(str(labels), held, weight=float(len(parts) + 1)))
    found = recompose(cut.plan, parts)
    assert set(found.weights) == set(cut.plan.weights)
    for name, value in cut.plan.weights.items():
        assert found.weights[name].tobytes() == value.tobytes()


def test_what_is_shared_is_as_it_was(cut: Cut) -> None:
    x, _ = images()
    stem = cut.plan.shared_layer
    np.testing.assert_array_equal(at(cut.whole, stem, x), at(cut.found.model, stem, x))
    np.testing.assert_allclose(
        np.asarray(cut.original(x)), np.asarray(cut.found.model(x)), rtol=0, atol=1e-6
    )
    assert cut.plan.costs.whole.parameters <= cut.plan.costs.original.parameters * CLASSES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "convolutions", "cut_behind", "decoupled"),
    [
        ("alexnet", 3, "pool2", ("conv3", "conv4", "conv5", "dense1", "dense2")),
        (
            "vgg16", 6, "pool3",
            ("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3", "dense1", "dense2"),
        ),
    ],
)  # fmt: skip
def test_the_papers_networks_are_cut_where_the_paper_cuts_them(
    name: str, convolutions: int, cut_behind: str, decoupled: tuple[str, ...]
) -> None:
    entry = zoo.entry(name)
    found = tail.find(entry.build(entry.input_shape, range(10)), convolutions)
    assert found.cut._keras_history.operation.name == cut_behind
    assert found.decoupled == decoupled

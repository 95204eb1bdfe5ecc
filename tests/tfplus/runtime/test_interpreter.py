from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tfplus.errors import ArtifactError, TensorError, UsageError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Signature, TensorInfo
from tfplus.runtime import interpreter


def opened(model: Artifact, *, xnnpack: bool = True, **changes: Any) -> interpreter.Model:
    manifest = dataclasses.replace(model.manifest, **changes)
    return interpreter.find().open(model.path, manifest, threads=1, xnnpack=xnnpack)


def stepped(it: interpreter.Model, given: dict[str, Any]) -> dict[str, float]:
    it.step(given)
    return it.metrics()


def batch(model: Artifact) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    size = model.manifest.batch_size
    x = rng.random((size, *model.manifest.input_shape), np.float32)
    return x, rng.integers(0, 10, size).astype(np.int32)


def test_it_starts_from_the_values_in_the_file(model: Artifact) -> None:
    saved = opened(model).save()
    expected = artifact.initial_values(model)
    assert list(saved) == [v.name for v in model.manifest.variables]
    for name, value in expected.items():
        np.testing.assert_array_equal(saved[name], value)


def test_with_and_without_xnnpack_it_learns_the_same(model: Artifact) -> None:
    x, y = batch(model)
    losses: list[list[float]] = []
    for xnnpack in (True, False):
        it = opened(model, xnnpack=xnnpack)
        losses.append([stepped(it, {"x": x, "y": y})["loss"] for _ in range(10)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][-1] < losses[0][0]


def test_rows_of_index_minus_one_count_for_nothing(model: Artifact) -> None:
    x, y = batch(model)
    y[5:] = -1
    noise = x.copy()
    noise[5:] = 99
    results = [stepped(opened(model), {"x": rows, "y": y}) for rows in (x, noise)]
    assert results[0] == results[1]


def test_what_was_saved_restores(model: Artifact) -> None:
    x, y = batch(model)
    it = opened(model)
    stepped(it, {"x": x, "y": y})
    saved = it.save()
    next_loss = stepped(it, {"x": x, "y": y})
    fresh = opened(model)
    fresh.restore(saved)
    assert stepped(fresh, {"x": x, "y": y}) == next_loss


@pytest.mark.parametrize(
    ("change_x", "change_y", "message"),
    [
        (lambda x: x[:5], lambda y: y, r"x: expected float32\[16, 8, 8, 1\], got float32\[5"),
        (lambda x: x[..., 0], lambda y: y, r"x: expected .*got float32\[16, 8, 8\]"),
        (lambda x: x.astype(np.float64), lambda y: y, "got float64"),
        (lambda x: x, lambda y: y.astype(np.int64), "y: expected int32"),
        (lambda x: x, lambda y: y[:3], r"y: expected int32\[16\], got int32\[3\]"),
        (lambda x: x, lambda y: y + 10, "expected -1 to 9"),
        (lambda x: x, lambda y: y - 9, "expected -1 to 9"),
    ],
)
def test_a_step_takes_nothing_but_its_shapes_and_dtypes(
    model: Artifact, change_x: Any, change_y: Any, message: str
) -> None:
    x, y = batch(model)
    it = opened(model)
    before = it.save()
    with pytest.raises(TensorError, match=message):
        stepped(it, {"x": change_x(x), "y": change_y(y)})
    after = it.save()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_restore_takes_nothing_but_every_variable(model: Artifact) -> None:
    it = opened(model)
    values = it.save()
    name = model.manifest.weights[0].name
    smaller = {**values, name: np.zeros((1,), np.float32)}
    for bad, message in (
        (smaller, r"got float32\[1\]"),
        ({**values, name: values[name].astype(np.float64)}, "got float64"),
        ({**values, name: np.full_like(values[name], np.nan)}, "NaN"),
        ({n: v for n, v in values.items() if n != name}, "missing"),
        ({**values, "shared/other": values[name]}, "unknown"),
    ):
        with pytest.raises(TensorError, match=message):
            it.restore(bad)
    with pytest.raises(TensorError, match=r"x: expected float32\[24"):
        it.infer({"x": np.zeros((1, 8, 8, 1), np.float32)})


def test_a_manifest_that_is_not_of_this_graph_is_refused(model: Artifact) -> None:
    first, *rest = model.manifest.variables
    held = model.manifest.signatures

    def changed(name: str, taken: str | None, shape: tuple[int, ...] | None) -> Any:
        inputs, outputs = dict(held[name].inputs), dict(held[name].outputs)
        if shape is None:
            del inputs[taken]
        else:
            (inputs if taken else outputs)[taken or "logits"] = TensorInfo(shape, "float32")
        return {**held, name: Signature(inputs, outputs)}

    wrong = dataclasses.replace(first, shape=(*first.shape, 7))
    for changes, message in (
        ({"variables": (wrong, *rest)}, f"signature 'restore', input '{first.name}'"),
        ({"variables": tuple(rest)}, f"signature 'restore', input '{first.name}'"),
        ({"signatures": changed("train", "x", None)}, "signature 'train', input 'x'"),
        ({"signatures": changed("infer", "x", (8, 8, 2))}, "signature 'infer', input 'x'"),
        ({"signatures": changed("infer", None, (24, 2))}, "signature 'infer', output 'logits'"),
    ):
        with pytest.raises(ArtifactError, match=message):
            opened(model, **changes)


def test_a_runtime_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="auto, ai-edge-litert, tflite-runtime"):
        interpreter.find("torch")

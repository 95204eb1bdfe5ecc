"""What every implementation of `TrainableModel` does; a further one is a line in `IMPLEMENTATIONS`.

The oracle is the CPU's interpreter without XNNPACK, whose steps the export compared with Keras.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tfplus.errors import TensorError, UsageError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import interpreter
from tfplus.runtime.opening import OpenOptions, open_model
from tfplus.runtime.trainable_model import TrainableModel

# Name → how it is opened, and a fixture that skips where it cannot be.
IMPLEMENTATIONS: dict[str, tuple[OpenOptions, str]] = {
    "cpu": (OpenOptions("cpu", threads=1), ""),
    "cpu without XNNPACK": (OpenOptions("cpu", threads=1, xnnpack=False), ""),
    "gpu": (OpenOptions("gpu"), "gpu"),
}
# float32 sums in another order.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-6}


@pytest.fixture(scope="module")
def read(gpu_model: Artifact) -> Artifact:
    return gpu_model


@pytest.fixture(params=IMPLEMENTATIONS)
def opened(request: pytest.FixtureRequest, read: Artifact) -> Iterator[TrainableModel]:
    options, needs = IMPLEMENTATIONS[request.param]
    if needs:
        request.getfixturevalue(needs)
    model = open_model(read, options)
    yield model
    model.close()


def batch(read: Artifact, seed: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    size = read.manifest.batch_size
    x = rng.random((size, *read.manifest.input_shape), np.float32)
    return {"x": x, "y": rng.integers(0, 10, size).astype(np.int32)}


def assert_equal(got: Any, want: Any, **tolerance: float) -> None:
    assert list(got) == list(want)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], err_msg=name, **tolerance)


def test_it_starts_from_the_file_and_says_what_it_is(
    opened: TrainableModel, read: Artifact
) -> None:
    assert opened.manifest == read.manifest
    assert opened.accelerator in ("cpu", "gpu")
    assert_equal(opened.save(), artifact.initial_values(read))


def test_it_learns_what_the_interpreter_does(opened: TrainableModel, read: Artifact) -> None:
    oracle = interpreter.find().open(read.path, read.manifest, threads=1, xnnpack=False)
    for seed in range(3):
        opened.step(batch(read, seed))
        oracle.step(batch(read, seed))
        assert_equal(opened.metrics(), oracle.metrics(), **TOLERANCE)
    assert_equal(opened.save(), oracle.save(), **TOLERANCE)
    rows = {"x": np.resize(batch(read, 9)["x"], (24, 8, 8, 1))}
    assert_equal(opened.infer(rows), oracle.infer(rows), **TOLERANCE)


def test_a_row_of_padding_counts_for_nothing(opened: TrainableModel, read: Artifact) -> None:
    start, padded = opened.save(), batch(read)
    padded["y"][5:] = -1
    opened.step(padded)
    first = opened.metrics()
    opened.restore(start)
    padded["x"][5:] = 9.0
    opened.step(padded)
    assert opened.metrics() == first


def test_what_was_saved_is_a_copy_and_restores(opened: TrainableModel, read: Artifact) -> None:
    start = opened.save()
    kept = {name: value.copy() for name, value in start.items()}
    opened.step(batch(read))
    assert_equal(start, kept)
    moved = opened.save()
    assert any((moved[name] != kept[name]).any() for name in kept)
    opened.restore(start)
    assert_equal(opened.save(), kept)


def test_what_does_not_fit_is_refused_and_changes_nothing(
    opened: TrainableModel, read: Artifact
) -> None:
    start, good = opened.save(), batch(read)
    for wrong in (
        {"x": good["x"][:1], "y": good["y"]},
        {"x": good["x"]},
        {**good, "z": good["y"]},
        {"x": good["x"].astype(np.float64), "y": good["y"]},
        {"x": good["x"], "y": np.full_like(good["y"], 10)},
    ):
        with pytest.raises(TensorError):
            opened.step(wrong)
    with pytest.raises(TensorError):
        opened.infer({"x": good["x"][:1]})
    name = next(iter(start))
    for value in (np.full_like(start[name], np.nan), start[name][:1]):
        with pytest.raises(TensorError):
            opened.restore({**start, name: value})
    assert_equal(opened.save(), start)


def test_closing_twice_is_no_error(opened: TrainableModel) -> None:
    opened.close()
    opened.close()


def test_an_unknown_accelerator_is_refused_with_those_that_are_known(toy: Artifact) -> None:
    with pytest.raises(UsageError, match=r"'tpu': expected one of cpu, gpu"):
        open_model(toy, OpenOptions("tpu"))

"""`tfplus.Model` against the interpreter stepped by hand, and the ways it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfplus
from tfplus.api import arrays
from tfplus.errors import DataError, TensorError, UsageError
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import interpreter

SAMPLES = 40


@pytest.fixture(scope="module")
def x() -> Any:
    return np.random.default_rng(0).random((SAMPLES, 8, 8, 1), np.float32)


@pytest.fixture(scope="module")
def y() -> Any:
    return np.random.default_rng(1).integers(0, 10, SAMPLES)


@pytest.fixture
def opened(model: Artifact) -> tfplus.Model:
    return tfplus.load(model.path, threads=1)


def by_hand(model: Artifact, x: Any, y: Any, order: Any) -> tuple[interpreter.Model, float]:
    """One epoch of the interpreter itself in an order; its mean loss."""
    it = interpreter.find().open(model.path, model.manifest, threads=1, xnnpack=True)
    total = 0.0
    for start in range(0, len(order), 16):
        rows = order[start : start + 16]
        bx, by = np.zeros((16, 8, 8, 1), np.float32), np.full(16, -1, np.int32)
        bx[: len(rows)], by[: len(rows)] = x[rows], y[rows]
        it.step({"x": bx, "y": by})
        total += it.metrics()["loss"] * len(rows)
    return it, total / len(order)


@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_steps_as_the_interpreter_does(
    opened: tfplus.Model, model: Artifact, x: Any, y: Any, shuffle: bool
) -> None:
    order = np.random.default_rng([5, 0]).permutation(SAMPLES) if shuffle else np.arange(SAMPLES)
    it, loss = by_hand(model, x, y, order)
    history = opened.fit(x, y, seed=5, shuffle=shuffle, verbose=0)
    np.testing.assert_allclose(history.history["loss"], [loss], rtol=1e-6)
    for name, value in it.save().items():
        got = opened.get_weights(include_optimizer=True)[name]
        np.testing.assert_array_equal(got, value)


def test_predict_takes_any_number_of_samples(opened: tfplus.Model, model: Artifact, x: Any) -> None:
    it = interpreter.find().open(model.path, model.manifest, threads=1, xnnpack=True)
    padded = np.zeros((48, 8, 8, 1), np.float32)
    padded[:SAMPLES] = x
    (name,) = [output.name for output in model.manifest.outputs]
    want = np.concatenate([it.infer({"x": padded[i : i + 24]})[name] for i in (0, 24)])
    for count in (1, 24, 25, SAMPLES):
        got = opened.predict(x[:count])
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, want[:count])
    with pytest.raises(DataError, match="at least 1"):
        opened.predict(x[:0])


def test_integers_become_what_the_file_declares(opened: tfplus.Model, model: Artifact) -> None:
    codes = np.random.default_rng(0).integers(0, 17, (3, 8, 8, 1)).astype(np.uint8)
    scaled = codes.astype(np.float32) * np.float32(model.manifest.preprocessing.scale)
    np.testing.assert_array_equal(opened.predict(codes), opened.predict(scaled))
    own = tfplus.load(model.path, threads=1, scale=0.5)
    np.testing.assert_array_equal(own.predict(codes), opened.predict(codes.astype("f4") * 0.5))


class Recorder(tfplus.Callback):
    def __init__(self, stop_at: tuple[int, int] | None = None) -> None:
        self.calls: list[tuple[str, Any, list[str]]] = []
        self.losses: list[float] = []
        self._stop_at, self._epoch = stop_at, 0

    def _note(self, name: str, at: Any, logs: Any) -> None:
        self.calls.append((name, at, sorted(logs)))

    def on_train_begin(self, logs: Any) -> None:
        self._note("train_begin", None, logs)

    def on_train_end(self, logs: Any) -> None:
        self._note("train_end", None, logs)

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self._epoch = epoch
        self._note("epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self._note("epoch_end", epoch, logs)

    def on_batch_begin(self, batch: int, logs: Any) -> None:
        self._note("batch_begin", batch, logs)

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.losses.append(logs["loss"])
        self._note("batch_end", batch, logs)
        if (self._epoch, batch) == self._stop_at:
            self.model.stop_training = True


METRICS = ["accuracy", "loss"]


def epoch_calls(number: int, batches: int = 3) -> list[Any]:
    calls: list[Any] = [("epoch_begin", number, [])]
    for batch in range(batches):
        calls += [("batch_begin", batch, []), ("batch_end", batch, METRICS)]
    return [*calls, ("epoch_end", number, METRICS)]


def test_callbacks_are_called_in_keras_order(opened: tfplus.Model, x: Any, y: Any) -> None:
    recorder = Recorder()
    history = opened.fit(x, y, epochs=2, callbacks=[recorder], verbose=0)
    assert recorder.params["epochs"], recorder.params["steps"] == (2, 3)
    assert recorder.calls == [
        ("train_begin", None, []),
        *epoch_calls(0),
        *epoch_calls(1),
        ("train_end", None, METRICS),
    ]
    # The last running mean of an epoch is the epoch's.
    np.testing.assert_allclose(recorder.losses[2::3], history.history["loss"], rtol=1e-12)


def test_stop_training_ends_after_the_step_under_way(opened: tfplus.Model, x: Any, y: Any) -> None:
    recorder = Recorder(stop_at=(1, 1))
    history = opened.fit(x, y, epochs=5, callbacks=[recorder], verbose=0)
    assert history.epoch == [0, 1]
    assert [c[1] for c in recorder.calls if c[0] == "batch_end"] == [0, 1, 2, 0, 1]
    # The next call trains again.
    assert opened.fit(x, y, epochs=1, verbose=0).epoch == [0]


def test_early_stopping_restores_the_best(opened: tfplus.Model, x: Any, y: Any) -> None:
    opened.learning_rate = 0.0
    opened.fit(x, y, verbose=0)
    stop = tfplus.EarlyStopping("loss", patience=2, restore_best_weights=True)
    history = opened.fit(x, y, epochs=9, callbacks=[stop], shuffle=False, verbose=0)
    # Nothing gets better at a rate of 0.
    assert history.epoch == [0, 1, 2]
    with pytest.raises(UsageError, match="'val_loss' is not among accuracy, loss"):
        opened.fit(x, y, callbacks=[tfplus.EarlyStopping()], verbose=0)


def test_initial_epoch_goes_on_where_it_stopped(model: Artifact, x: Any, y: Any) -> None:
    whole, parts = tfplus.load(model.path, threads=1), tfplus.load(model.path, threads=1)
    whole.fit(x, y, epochs=3, verbose=0)
    parts.fit(x, y, epochs=1, verbose=0)
    assert parts.fit(x, y, epochs=3, initial_epoch=1, verbose=0).epoch == [1, 2]
    for name, value in whole.get_weights(include_optimizer=True).items():
        np.testing.assert_array_equal(parts.get_weights(include_optimizer=True)[name], value)


def test_weights_by_slice(opened: tfplus.Model, model: Artifact, x: Any, tmp_path: Path) -> None:
    names = list(opened.get_weights())
    assert names == list(model.manifest.expected(weights_only=True))
    first = names[0]
    assert list(opened.get_weights(first)) == [first]
    assert "optimizer/learning_rate" in opened.get_weights(include_optimizer=True)
    before = opened.get_weights()
    opened.save_weights(tmp_path / "one.safetensors", first)
    opened.set_weights({first: before[first] + 1})
    np.testing.assert_array_equal(opened.get_weights()[first], before[first] + 1)
    opened.load_weights(tmp_path / "one.safetensors")
    for name, value in before.items():
        np.testing.assert_array_equal(opened.get_weights()[name], value)
    for wrong in ({"shared/none": before[first]}, {first: before[first] * np.nan}):
        with pytest.raises(TensorError):
            opened.set_weights(wrong)
    with pytest.raises(TensorError, match="learning rate"):
        opened.learning_rate = -1.0
    (tmp_path / "bad.safetensors").write_bytes(b"not it")
    for path in ("bad.safetensors", "none.safetensors"):
        with pytest.raises(DataError, match=path):
            opened.load_weights(tmp_path / path)


def test_a_training_that_diverges_leaves_the_weights_from_before(
    opened: tfplus.Model, x: Any, y: Any
) -> None:
    opened.learning_rate = 1e4
    before = opened.get_weights()
    with pytest.raises(DataError, match="diverged"):
        opened.fit(x * 1e6, y, epochs=20, shuffle=False, verbose=0)
    assert all(np.isfinite(v).all() for v in opened.get_weights().values())
    assert opened.get_weights().keys() == before.keys()


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"batch_size": 8}, UsageError, "trains batches of 16"),
        ({"epochs": 0}, UsageError, "more than initial_epoch=0"),
        ({"validation_data": (1,)}, UsageError, r"expected \(x, y\)"),
        ({"sample_weight": np.ones(SAMPLES)}, DataError, "takes none"),
        ({"x": np.zeros((3, 8, 8, 1))}, DataError, "as many samples"),
        ({"x": np.zeros((SAMPLES, 4))}, DataError, "shape"),
        ({"y": np.full(SAMPLES, 10)}, DataError, "label 10"),
        ({"x": {"z": np.zeros((SAMPLES, 8, 8, 1))}}, DataError, r"\['x'\].*got \['z'\]"),
    ],
)
def test_what_does_not_fit_is_refused(
    opened: tfplus.Model, x: Any, y: Any, arguments: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        opened.fit(**{"x": x, "y": y, "verbose": 0, **arguments})


def test_a_closed_model_says_so(opened: tfplus.Model, x: Any) -> None:
    with opened as it:
        assert "batches of 16" in repr(it)
    assert "closed" in repr(opened)
    with pytest.raises(UsageError, match="was closed"):
        opened.predict(x)


def test_several_arrays_come_as_a_list_or_by_name(model: Artifact) -> None:
    # The model has one of each; what a list means is decided by this function alone.
    one, two = np.zeros(2), np.ones(2)
    names = ["a", "b"]
    for given in ([one, two], (one, two), {"b": two, "a": one}, {"b": two, "first": one}):
        found = arrays._named(given, names, "x", {"first": "a"})
        assert list(found) == names
        assert found["a"] is one
    for wrong in ([one], {"a": one}, {"a": one, "b": two, "c": two}, one):
        with pytest.raises(DataError, match="expected an array for each"):
            arrays._named(wrong, names, "x")


def test_it_tells_of_each_epoch(
    opened: tfplus.Model, x: Any, y: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    opened.fit(x, y, epochs=2, validation_data=(x, y))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
    assert "val_accuracy: 0." in lines[0]


def test_the_import_is_light() -> None:
    script = (
        "import sys, tfplus\n"
        "ours = sorted(m for m in sys.modules if m.startswith('tfplus'))\n"
        "heavy = {'numpy', 'grpc', 'tensorflow', 'keras', 'ai_edge_litert', 'safetensors'}\n"
        "print(ours, sorted(heavy & set(sys.modules)), 'load' in dir(tfplus))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "['tfplus'] [] True\n"
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        _ = tfplus.fly

"""`tfplus recompose --calibrate`: branches whose logits drifted apart are brought to one scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tfplus.decoupling import calibration, plan_folder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def drifted(decoupled: Any, tmp_path: Path) -> Path:
    """The plan's weights, with the first class's logits far above the others'."""
    plan = plan_folder.read(decoupled.folder)
    weights: dict[str, Any] = {n: np.array(w) for n, w in plan.weights.items()}
    weights[f"task/{plan.classes[0]}/{plan.classifier}/bias"] += 50
    path = tmp_path / "drifted.safetensors"
    save_file(weights, path)
    return path


def cross_entropy(logits: np.ndarray, places: np.ndarray) -> float:
    high = logits.max(axis=1, keepdims=True)
    shares = logits - high - np.log(np.exp(logits - high).sum(axis=1, keepdims=True))
    return -float(shares[np.arange(len(places)), places].mean())


def test_drifted_branches_answer_on_one_scale(
    decoupled: Any, drifted: Path, data: Path, tmp_path: Path, tfplus: Any
) -> None:
    plan = plan_folder.read(decoupled.folder)
    written = [tmp_path / "g.keras", tmp_path / "g.safetensors"]
    code, out, err = tfplus(
        "recompose", decoupled.folder, drifted, "--calibrate", data,
        *(f"-o{path}" for path in written), "--json",
    )  # fmt: skip
    assert code == 0, err
    told = json.loads(out)["calibrated"]
    with np.load(data) as arrays:
        x, y = arrays["x"] / np.float32(255), arrays["y"]
    places = np.array([plan.classes.index(v) for v in y])
    assert told["samples"] == len(y)
    assert told["before"] == pytest.approx((places == 0).mean())

    def logits(weights: dict[str, np.ndarray]) -> np.ndarray:
        model = keras.models.clone_model(decoupled.model)
        model.set_weights(decoupled.model.get_weights())
        for label in plan.classes:
            layer = f"task_{label}_{plan.classifier}"
            of_class = [weights[f"task/{label}/{plan.classifier}/{p}"] for p in ("kernel", "bias")]
            model.get_layer(layer).set_weights(of_class)
        made: Any = [model.get_layer(f"task_{c}_{plan.classifier}").output for c in plan.classes]
        probe: Any = keras.Model(model.inputs[0], made)
        return np.concatenate(probe.predict(x, verbose=0), axis=1)

    before, after = logits(load_file(drifted)), logits(load_file(written[1]))
    found = calibration.fit(before, places)
    np.testing.assert_allclose(after, before * found.scale + found.shift, rtol=1e-3, atol=1e-3)
    assert told["after"] == pytest.approx((after.argmax(axis=1) == places).mean(), abs=0.02)
    # What it fits; the plan is not trained, so that its accuracy says little.
    assert cross_entropy(after, places) < cross_entropy(before, places)
    assert cross_entropy(after, places) < 1.05 * np.log(len(plan.classes))
    whole: Any = keras.models.load_model(written[0])
    answers = whole.predict(x, verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(answers, after.argmax(axis=1))
    # What is not a last layer stays as it was.
    kept = {n: w for n, w in load_file(drifted).items() if plan.classifier not in n}
    assert kept
    assert all(load_file(written[1])[n].tobytes() == w.tobytes() for n, w in kept.items())


def test_what_cannot_be_calibrated(
    decoupled: Any, drifted: Path, data: Path, tmp_path: Path, tfplus: Any
) -> None:
    with np.load(data) as arrays:
        x, y = arrays["x"], arrays["y"]
    few = tmp_path / "few.npz"
    np.savez(few, x=x[y != 9], y=y[y != 9])
    for path, message in (
        (few, "has no sample of the classes [9]"),
        (tmp_path / "none.npz", "none.npz"),
    ):
        code, _, err = tfplus(
            "recompose", decoupled.folder, drifted, "--calibrate", path, "-o", tmp_path / "g.keras"
        )
        assert code in (2, 3), err
        assert message in " ".join(err.split())
        assert not (tmp_path / "g.keras").exists()

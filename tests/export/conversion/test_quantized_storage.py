"""Initial values stored as float16 or int8: what the runtimes start from, and what it saves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfplus.model_file import artifact
from tfplus.model_file.storage import Storage
from tfplus_export.conversion import quantized_storage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")

SAVE = """
import sys
import numpy as np
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1])
values = interpreter.get_signature_runner("save")()
np.savez(sys.argv[2], **{name.replace("/", "|"): value for name, value in values.items()})
train = interpreter.get_signature_runner("train")
x = np.ones(train.get_input_details()["x"]["shape"], np.float32)
y = np.zeros(x.shape[0], np.int32)
assert np.isfinite(train(x=x, y=y)["loss"][0])
"""


def started_from(path: Path) -> list[dict[str, np.ndarray]]:
    """What each runtime that is there has in its variables once the file is opened."""
    found = []
    for python in filter(None, [sys.executable, os.environ.get("TFPLUS_LEGACY_PYTHON")]):
        saved = path.with_suffix(".npz")
        subprocess.run([python, "-c", SAVE, str(path), str(saved)], check=True, timeout=120)
        values = np.load(saved)
        found.append({name.replace("|", "/"): values[name] for name in values.files})
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("form", "ratio"), [("float16", 0.51), ("int8", 0.27)])
def test_small_values_are_whole_in_every_runtime(
    run, tmp_path: Path, form: Storage, ratio: float
) -> None:
    arguments = ("zoo:digits", "--classes", "2", "--batch-size", "4", "--momentum", "0.9")
    assert run(*arguments, "-o", "whole.tflite", "--parity-steps", "1")[0] == 0
    code, out, err = run(*arguments, "-o", "small.tflite", "--weights", form, "--json")
    assert code == 0, err
    sizes = json.loads(out)["models"][0]
    assert sizes["stored_bytes"] < ratio * sizes["variables_bytes"]
    whole, small = (artifact.read(tmp_path / n) for n in ("whole.tflite", "small.tflite"))
    assert small.manifest.flatbuffer_bytes < whole.manifest.flatbuffer_bytes
    exact, values = artifact.initial_values(whole), artifact.initial_values(small)
    for name, value in exact.items():
        step = np.max(np.abs(value)) / 127 if form == "int8" else np.max(np.abs(value)) * 2**-10
        assert np.max(np.abs(values[name] - value)) <= step * 0.5001, name
    assert np.any(values["shared/conv1/kernel"] != exact["shared/conv1/kernel"])
    assert values["optimizer/learning_rate"] == exact["optimizer/learning_rate"]
    other = {n: (v * 3.0 + 0.25).astype(np.float32) for n, v in exact.items()}
    changed = artifact.with_values(small, other, tmp_path / "changed.tflite")
    for file in (small, changed):
        want = artifact.initial_values(file)
        for got in started_from(file.path):
            for name, value in want.items():
                np.testing.assert_array_equal(got[name], value, err_msg=name)
    back = artifact.initial_values(changed)
    for name, value in other.items():
        assert np.max(np.abs(back[name] - value)) <= np.max(np.abs(value)) / 127 * 0.5001


def test_what_would_lose_too_much_stays_larger() -> None:
    values = {
        "kernel": np.ones((2, 2), np.float32),
        "bias": np.ones(2, np.float32),
        "variance": np.full(2, 1e5, np.float32),
        "velocity": np.zeros((2, 2), np.float32),
        "rate": np.full(1, 0.1, np.float32),
    }
    weights = {"kernel", "bias", "variance"}
    assert quantized_storage.choose(values, weights, "int8") == {
        "kernel": "int8", "bias": "float16", "variance": "float32", "velocity": "int8",
        "rate": "float32",
    }  # fmt: skip

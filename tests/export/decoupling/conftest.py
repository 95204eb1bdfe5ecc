"""Small networks with a convolutional tail, their samples, and one plan that several tests read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from small_cnn import LABELS, network, samples
from typer.testing import CliRunner

from tfplus.cli.main import app

Run = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Decoupled:
    """A plan that `tfplus decouple` wrote, and what it was made of."""

    folder: Path
    original: keras.Model
    model: keras.Model
    said: dict


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    """Runs `tfplus`: arguments → exit code, stdout, stderr."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="session")
def tfplus() -> Run:
    return invoke


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "d.npz"
    x, y = samples()
    np.savez(path, x=x, y=y)
    return path


@pytest.fixture(scope="session", params=[False, True], ids=["plain", "normalized"])
def decoupled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, data: Path
) -> Decoupled:
    """The last two convolutions decoupled, not fine-tuned."""
    folder = tmp_path_factory.mktemp("decoupled")
    model = network(normalized=request.param)
    if request.param:
        # Statistics of the data, so that the normalization is as after a training.
        optimizer = keras.optimizers.SGD(0.01, momentum=0.5, weight_decay=1e-4)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        x, y = samples()
        model.fit(x / np.float32(255), np.searchsorted(sorted(LABELS), y), epochs=3, verbose=0)
    model.save(folder / "m.keras")
    code, out, err = invoke(
        "decouple", folder / "m.keras", "--data", data, "--layers", "2", "--scale", "1/255",
        "--classes", "5,0,9", "-o", folder / "plan", "--json",
    )  # fmt: skip
    assert code == 0, err
    whole = keras.models.load_model(folder / "plan" / "model.keras")
    original = keras.models.load_model(folder / "m.keras")
    return Decoupled(folder / "plan", original, whole, json.loads(out))


@pytest.fixture(scope="session")
def devices(
    decoupled: Decoupled, tmp_path_factory: pytest.TempPathFactory, tfplus: Run
) -> dict[str, Path]:
    """Three exported sub-models: whole, with frozen shared layers, and taking those's output."""
    folder = tmp_path_factory.mktemp("devices")
    paths = {name: folder / f"{name}.tflite" for name in ("a", "b", "c")}
    for name, more in (
        ("a", ["9,5"]),
        ("b", ["5,0", "--frozen-shared"]),
        ("c", ["5,0", "--cached"]),
    ):
        code, _, err = tfplus(
            "export", decoupled.folder, "-o", paths[name], "--batch-size", "4",
            "--parity-steps", "2", "--classes", *more,
        )  # fmt: skip
        assert code == 0, err
    return paths

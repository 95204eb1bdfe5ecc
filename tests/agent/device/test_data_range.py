"""Handwritten digits as bytes of 0 to 255, as they are published, on a device of its own."""

from __future__ import annotations

import dataclasses
import functools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.data import device_data
from tfplus.data.scaling import Scaling
from tfplus.errors import DataError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.preprocessing import InputRange, Preprocessing
from tfplus_agent.device.device import Device

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow

Open = Callable[..., Device]
BYTES = Scaling(1 / 255)
UNIT = (InputRange("x", "scale", 0.0, 1.0),)
GUESSING = "the first loss is"
OUTSIDE = "input 'x': the model gets values from"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same 400 digits as bytes, as floats of 0 to 255, and as floats of 0 to 1."""
    read: Any = load_digits()
    x = np.round(read.images[:400, :, :, None] * (255 / 16)).astype(np.uint8)
    folder = tmp_path_factory.mktemp("digits")
    stored = {
        "bytes": x,
        "floats": x.astype(np.float32),
        "unit": x.astype(np.float32) * np.float32(1 / 255),
    }
    for name, values in stored.items():
        np.savez(folder / f"{name}.npz", x=values, y=read.target[:400])
    return {name: folder / f"{name}.npz" for name in stored}


@pytest.fixture
def declaring(model: Artifact, tmp_path: Path) -> Callable[..., Artifact]:
    """The model as an export writes it that was told of such data."""

    def make(preprocessing: Preprocessing) -> Artifact:
        manifest = dataclasses.replace(model.manifest, preprocessing=preprocessing)
        content = model.path.read_bytes()[: manifest.flatbuffer_bytes]
        return artifact.write(tmp_path / "declaring.tflite", content, manifest)

    return make


@pytest.fixture
def opened(open_device: Open) -> Open:
    """Opens a device without evaluation data, unless they are given."""
    return functools.partial(open_device, eval_data=None)


def trained(device: Device) -> tuple[dict[str, Any], tuple[str, ...]]:
    summary = device.train(3, seed=1)
    return device.weights(), summary.warnings


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(np.array_equal(one[n], other[n]) for n in one)


def test_bytes_of_a_declared_scale_train_as_what_they_stand_for(
    opened: Open, declaring: Any, digits: dict[str, Path], tmp_path: Path
) -> None:
    declared = declaring(Preprocessing(1 / 255, expects=UNIT))
    found = {
        name: trained(opened(load=declared, data=digits[name], state_dir=tmp_path / name))
        for name in ("bytes", "unit")
    }
    assert same(found["bytes"][0], found["unit"][0])
    assert [warnings for _, warnings in found.values()] == [(), ()]
    # They are as small in memory as on disk: a batch at a time becomes floats.
    held = device_data.load(digits["bytes"], declared.manifest, for_training=True)
    assert held.inputs["x"].dtype == np.uint8


def test_bytes_of_which_nothing_is_declared_are_told_by_the_first_loss(
    opened: Open,
    declaring: Any,
    digits: dict[str, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    undeclared = declaring(Preprocessing())
    device = opened(load=undeclared, data=digits["bytes"])
    (text,) = device.train(1, seed=1, max_steps=2).warnings
    assert text.startswith(GUESSING)
    assert "that of guessing 2.3" in text
    assert text in caplog.messages
    # It is the model's first training here that is judged.
    assert device.train(1, seed=1, max_steps=2).warnings == ()
    right = opened(load=undeclared, data=digits["bytes"], state_dir=tmp_path / "s", scaling=BYTES)
    assert right.train(1, seed=1, max_steps=2).warnings == ()


def test_floats_of_another_range_are_told_before_any_training(
    opened: Open,
    declaring: Any,
    digits: dict[str, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    declared = declaring(Preprocessing(1 / 255, expects=UNIT))
    device = opened(load=declared, data=digits["floats"])
    (text,) = device.warnings
    assert text.startswith(f"{OUTSIDE} 0 to 255, expected 0 to 1")
    assert "--scale 1/255 would bring the data there" in text
    assert text in caplog.messages
    warnings = device.train(1, seed=1, max_steps=1).warnings
    assert [w.startswith(s) for w, s in zip(warnings, (OUTSIDE, GUESSING), strict=True)] == [1, 1]
    assert device.train(1, seed=1, max_steps=1).warnings == (text,)


def test_a_scaling_that_was_asked_for_stands_until_another_is(
    opened: Open, declaring: Any, digits: dict[str, Path], tmp_path: Path
) -> None:
    declared = declaring(Preprocessing(1 / 255, expects=UNIT))
    expected, _ = trained(opened(load=declared, data=digits["unit"]))
    asked = {"load": declared, "data": digits["floats"], "state_dir": tmp_path / "floats"}
    first = opened(**asked)
    first.load(declared.sha256, scaling=BYTES)
    assert first.warnings == ()
    first.close()
    again = opened(**{**asked, "load": None})
    assert same(trained(again)[0], expected)
    again.load(declared.sha256)
    assert again.warnings[0].startswith(OUTSIDE)


def test_the_scaling_that_an_agent_was_started_with_stands(
    opened: Open, declaring: Any, digits: dict[str, Path]
) -> None:
    declared = declaring(Preprocessing(expects=UNIT))
    device = opened(load=declared, data=digits["floats"], scaling=BYTES)
    assert device.warnings == ()
    device.load(declared.sha256, scaling=Scaling(1 / 16))
    assert device.warnings == (
        "this agent was started with --scale 1/255, which stands; --scale 1/16 was asked for",
    )


def test_a_training_that_diverges_says_what_is_the_matter_with_the_data(
    opened: Open, declaring: Any, digits: dict[str, Path]
) -> None:
    declared = declaring(Preprocessing(expects=UNIT))
    device = opened(load=declared, data=digits["unit"], scaling=Scaling(1e20))
    with pytest.raises(DataError, match=f"training diverged.*; {OUTSIDE} 0 to 1e.20.*--scale 1 "):
        device.train(5, seed=1)


def test_evaluation_data_are_looked_at_too(
    opened: Open, declaring: Any, digits: dict[str, Path]
) -> None:
    declared = declaring(Preprocessing(1 / 255, expects=UNIT))
    device = opened(load=declared, data=digits["unit"], eval_data=digits["floats"])
    (text,) = device.warnings
    assert text.startswith(f"evaluation data, {OUTSIDE}")


def test_gossip_tells_the_agents_scale_and_shows_their_warnings(
    start_agent: Any, declaring: Any, digits: dict[str, Path], tmp_path: Path
) -> None:
    declared = declaring(Preprocessing(1 / 255, expects=UNIT))
    agent = start_agent(data=str(digits["floats"]), **{"eval-data": None})
    arguments = ["gossip", "--agent", agent.ready["address"], "--model", str(declared.path)]
    arguments += ["--rounds", "2", "-o", str(tmp_path / "out"), "--json"]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0, ended.output
    warnings = json.loads(ended.stdout)["agents"]["a"]["warnings"]
    assert [w.startswith(s) for w, s in zip(warnings, (OUTSIDE, GUESSING), strict=True)] == [1, 1]
    # Each is shown once, the range before the first round.
    for text in warnings:
        assert ended.stderr.count(f"a: warning: {text}") == 1
    assert ended.stderr.index(OUTSIDE) < ended.stderr.index("a: round 1/2")
    ended = CliRunner().invoke(app, [*arguments, "--scale", "1/255"])
    assert json.loads(ended.stdout)["agents"]["a"]["warnings"] == []
    assert "warning" not in ended.stderr
    ended = CliRunner().invoke(app, [*arguments, "--scale", "0"])
    assert (ended.exit_code, "--scale 0: expected another number" in ended.stderr) == (2, True)
    agent.end(signal.SIGTERM)


def test_an_agent_takes_its_scaling_from_the_command_line(
    start_agent: Any, declaring: Any, digits: dict[str, Path]
) -> None:
    declared = declaring(Preprocessing(expects=(InputRange("x", "layers", -1.0, 1.0),)))
    options = {"data": str(digits["bytes"]), "eval-data": None}
    agent = start_agent(scale="1/127.5", offset="-1", **options)
    loaded = agent.client.load(agent.client.upload(declared.path))
    assert list(loaded.warnings) == []
    *_, last = agent.client.train(1, max_steps=1)
    assert list(last.summary.warnings) == []
    agent.end(signal.SIGTERM)

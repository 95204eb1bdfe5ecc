"""`tfplus train`, `evaluate`, `predict`, `weights` against the Python API on equal samples."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import tfplus
from tfplus.cli import main
from tfplus.model_file.artifact import Artifact
from tfplus.system import temporary

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow


def run(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(main.app, [str(a) for a in arguments])
    assert result.exit_code == code, (result.exit_code, result.stderr)
    assert "Traceback" not in result.stderr
    return result


def arrays(path: Path) -> tuple[Any, Any]:
    with np.load(path) as stored:
        return stored["x"], stored["y"]


@pytest.fixture
def trained(model: Artifact, train_data: Path, eval_data: Path, tmp_path: Path) -> tuple[Any, Path]:
    """What `--json` of three epochs says, and its weights."""
    path = tmp_path / "w.safetensors"
    done = run(
        *("train", model.path, "--data", train_data, "--eval-data", eval_data, "--epochs", 2),
        *("--seed", 7, "--weights-out", path, "--threads", 1, "--json"),
    )
    assert f"wrote {path}" in done.stderr.replace("\n", "")
    return json.loads(done.stdout), path


def test_training_here_is_what_fit_does(
    trained: tuple[Any, Path], model: Artifact, train_data: Path, eval_data: Path
) -> None:
    report, path = trained
    it = tfplus.load(model.path, threads=1)
    history = it.fit(
        *arrays(train_data), epochs=2, seed=7, validation_data=arrays(eval_data), verbose=0
    ).history
    assert set(report["epochs"][0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, values in history.items():
        np.testing.assert_allclose([e[name] for e in report["epochs"]], values, rtol=1e-9)
    want, got = it.get_weights(include_optimizer=True), load_file(path)
    assert got.keys() == want.keys()
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value)
    assert (report["steps"], report["interrupted"], report["accelerator"]) == (20, False, "cpu")
    assert report["weights"] == str(path)


def test_evaluate_and_predict_take_the_weights(
    trained: tuple[Any, Path], model: Artifact, eval_data: Path, tmp_path: Path
) -> None:
    _, path = trained
    it = tfplus.load(model.path)
    it.load_weights(path)
    x, y = arrays(eval_data)
    given = (model.path, "--data", eval_data, "--weights", path)
    found = json.loads(run("evaluate", *given, "--json").stdout)
    assert found["samples"] == found["known_samples"] == 50
    for name, value in it.evaluate(x, y).items():
        np.testing.assert_allclose(found["metrics"][name], value, rtol=1e-6)
    assert "accuracy: " in run("evaluate", *given).stdout
    run("predict", *given, "-o", tmp_path / "p.npz")
    (output,) = [o.name for o in model.manifest.outputs]
    with np.load(tmp_path / "p.npz") as stored:
        np.testing.assert_allclose(stored[output], it.predict(x), rtol=1e-5, atol=1e-6)
    shown = json.loads(run("predict", *given, "--json").stdout)
    np.testing.assert_allclose(shown[output], it.predict(x), rtol=1e-5, atol=1e-6)


def test_weights_by_slice_of_files(
    trained: tuple[Any, Path], model: Artifact, tmp_path: Path
) -> None:
    _, path = trained
    whole = load_file(path)
    names = list(model.manifest.expected(weights_only=True))
    layer = names[0].rpartition("/")[0]
    run("weights", "get", path, "--slice", layer, "-o", tmp_path / "some.safetensors")
    some = load_file(tmp_path / "some.safetensors")
    assert set(some) == {n for n in names if n.startswith(f"{layer}/")}
    run("weights", "get", path, "-o", tmp_path / "all.safetensors")
    assert set(load_file(tmp_path / "all.safetensors")) == set(names)
    copy = tmp_path / "copy.tflite"
    run("weights", "set", path, "--slice", layer, "--model", model.path, "-o", copy)
    values = tfplus.load(copy).get_weights()
    start = tfplus.load(model.path).get_weights()
    for name in names:
        np.testing.assert_array_equal(values[name], (whole if name in some else start)[name])


def test_the_same_on_an_agent(
    start_agent: Callable[..., Any], trained: tuple[Any, Path], model: Artifact, tmp_path: Path
) -> None:
    report, path = trained
    address = start_agent().ready["address"]
    out = tmp_path / "remote.safetensors"
    there = ("--agent", address)
    done = run(
        *("train", model.path, *there, "--epochs", 2, "--seed", 7, "--weights-out", out, "--json")
    )
    found = json.loads(done.stdout)
    assert (found["steps"], found["agent"]) == (20, address)
    mean = np.mean([epoch["loss"] for epoch in report["epochs"]])
    np.testing.assert_allclose(found["mean_metrics"]["loss"], mean, rtol=1e-6)
    for name, value in load_file(path).items():
        np.testing.assert_array_equal(load_file(out)[name], value)
    measured = json.loads(run("evaluate", *there, "--json").stdout)["metrics"]
    assert measured["accuracy"] == report["epochs"][-1]["val_accuracy"]
    name = next(iter(model.manifest.expected(weights_only=True)))
    moved = {name: load_file(path)[name] + 1}
    save_file(moved, tmp_path / "moved.safetensors")
    run("weights", "set", tmp_path / "moved.safetensors", *there)
    run("weights", "get", *there, "--slice", name, "-o", tmp_path / "back.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "back.safetensors")[name], moved[name])


def test_ctrl_c_keeps_what_was_learned(
    model: Artifact, make_data: Callable[..., Path], tmp_path: Path
) -> None:
    data, out = make_data(20_000), tmp_path / "w.safetensors"
    command = "from tfplus.cli.entry import main; main()"
    arguments = ["train", model.path, "--data", data, "--epochs", "1000", "--weights-out", out]
    with subprocess.Popen(
        [sys.executable, "-c", command, *map(str, arguments), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("epoch 1/1000")
        process.send_signal(signal.SIGINT)
        shown, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    report = json.loads(shown)
    assert report["interrupted"]
    assert 1250 <= report["steps"] < 1_250_000
    start = tfplus.load(model.path).get_weights()
    assert any((load_file(out)[n] != v).any() for n, v in start.items())


def test_a_worker_that_dies_is_an_error_and_the_epochs_before_are_kept(
    model: Artifact, train_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfplus_agent.worker.client import WorkerClient

    real, calls = WorkerClient.train, []

    def train(self: WorkerClient, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            self.kill()
        return real(self, *arguments)

    monkeypatch.setattr(WorkerClient, "train", train)
    out = tmp_path / "w.safetensors"
    given = ("train", model.path, "--data", train_data, "--weights-out", out, "--epochs", 3)
    done = run(*given, code=7)
    assert "was killed by SIGKILL during 'train'" in done.stderr
    assert "what was learned in 1 epochs" in done.stderr.replace("\n", " ")
    it = tfplus.load(model.path)
    it.load_weights(out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("train {model}", 2, "expected --data FILE, or --agent"),
        ("train {model} --data {data} --patience 2", 2, "--patience counts measurements"),
        ("train {model} --data {data} --validate-epochs 1", 2, "expected --eval-data FILE"),
        ("train {model} --data {data} --schedule steep", 2, "schedule 'steep'"),
        ("train {model} --data {data} --insecure", 2, "--insecure goes with --agent alone"),
        ("train {model} --data {data} --agent 127.0.0.1:1", 2, "--data does not go with --agent"),
        ("train {model} --data {tmp}/none.npz --weights-out {tmp}/w", 3, "no such data"),
        ("train {tmp}/none.tflite --data {data}", 3, "no such file"),
        ("train {model} --data {data} --weights-out {tmp}/no/w", 2, "no such directory"),
        ("train {model} --data {data} --weights-out {tmp}/w --accelerator tpu", 2, "tpu"),
        ("train {model} --data {data} --weights-out {tmp}/w --weights-in {data}", 3, "safetensors"),
        ("evaluate {model}", 2, "expected MODEL and --data FILE"),
        ("predict {model} --data {data}", 2, "--output FILE or --json"),
        ("weights get -o {tmp}/w", 2, "expected a FILE or --agent"),
        ("weights get {model} --slice none -o {tmp}/w", 3, "no slice under 'none'"),
        ("weights set {tmp}/none --agent 127.0.0.1:1", 3, "no such file"),
        ("weights set {data} --model {model}", 2, "--output"),
    ],
)
def test_what_does_not_fit_is_an_error_of_one_line(
    arguments: str, code: int, message: str, model: Artifact, train_data: Path, tmp_path: Path
) -> None:
    places = {"model": model.path, "data": train_data, "tmp": tmp_path}
    done = run(*(part.format(**places) for part in arguments.split()), code=code)
    assert message in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_weights_that_are_there_are_not_written_over_unasked(
    model: Artifact, train_data: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "m.tflite"
    copy.write_bytes(model.path.read_bytes())
    run("train", copy, "--data", train_data)
    assert (tmp_path / "m.safetensors").is_file()
    assert "exists: go on from it" in run("train", copy, "--data", train_data, code=2).stderr
    temporary.remove_ours()

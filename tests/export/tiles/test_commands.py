"""`tfplus tile plan` and `tfplus tile train`, as they are typed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.fleet.clients.tiles_client import TilesClient
from tfplus.fleet.local_devices import LocalDevices
from tfplus.fleet.tiles import training as tile_training
from tfplus.model_file import weights_file
from tfplus.system import child_process
from tfplus.tiles.grid import Grid, Tiling
from tfplus_export.commands.tiles import options
from tfplus_export.optimizers import Sgd
from tfplus_export.sources import source
from tfplus_export.tiles import trained

MODEL = ("zoo:small-cnn", "--input-shape", "12,12,1", "--classes", "4")


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["tile", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_a_plan_is_printed_and_drawn(tmp_path: Path) -> None:
    drawing = tmp_path / "tiles.svg"
    given = (*MODEL, "--devices", "4", "--grid", "2x2", "--row-shares", "2,1")
    code, out, _ = run("plan", *given, "--json", "--svg", str(drawing))
    assert code == 0
    plan = json.loads(out)
    assert plan["layers"] == ["conv1", "pool1", "conv2", "conv3"]
    assert "reads the whole map" in plan["ends_because"]
    assert plan["best"]["rows"] == [2.0, 1.0]
    assert len(plan["best"]["devices"]) == 4
    steps = [each["predicted_step_s"] for each in plan["considered"]]
    assert plan["best"]["predicted_step_s"] == min(steps)
    assert drawing.read_text().count("stroke-dasharray") >= 4
    code, out, _ = run("plan", *given)
    assert code == 0
    for text in ("4 layers are tiled", "grid 2x2 (rows 2:1)", "device 2: # its tile, + its halo"):
        assert text in out
    assert f"--row-shares 2,1 --groups '{plan['best']['groups']}'" in out


def test_a_slow_device_gets_a_smaller_tile() -> None:
    given = (*MODEL, "--devices", "2", "--grid", "2x1", "--latency-ms", "0.01")
    given = (*given, "--layers", "2", "--link", "1Gbit")
    plans = {}
    for gmacs in ("0.03", "0.01", "0.03,0.01"):
        code, out, err = run("plan", *given, "--gmacs", gmacs, "--json")
        assert code == 0, err
        plans[gmacs] = json.loads(out)["best"]
    assert plans["0.03"]["rows"] == plans["0.01"]["rows"] == [1.0, 1.0]
    best = plans["0.03,0.01"]
    assert best["rows"][0] > best["rows"][1]
    slow = [plan["devices"][1]["compute_s"] for plan in (best, plans["0.01"])]
    assert slow[0] < slow[1]
    # A cut that is asked for stays.
    code, out, _ = run("plan", *given, "--gmacs", "0.03,0.01", "--row-shares", "1,1", "--json")
    assert code == 0
    assert json.loads(out)["best"]["rows"] == [1.0, 1.0]


def test_memory_is_given_back_where_a_limit_needs_it() -> None:
    given = (*MODEL, "--devices", "2", "--batch-size", "64")
    plans = {}
    for arenas in ("keep", "free"):
        code, out, _ = run("plan", *given, "--arenas", arenas, "--json")
        assert code == 0
        plans[arenas] = json.loads(out)
    least = min(plan["memory_bytes"] for plan in plans["keep"]["considered"])
    for limit, arenas in ((2 * least, "keep"), (0.9 * least, "free")):
        code, out, err = run("plan", *given, "--memory", f"{limit / 1e6:.3f}MB", "--json")
        assert code == 0, err
        best = json.loads(out)["best"]
        assert best["arenas"] == arenas
        assert best["memory_bytes"] <= limit
        assert best["activations"] == "recompute"


def test_who_is_left_keeps_its_speed() -> None:
    cluster = options.cluster(None, "100Mbit", 1.0, "4,2,1", 3)
    left = options.Wanted(3, Grid.even(3, 1), None, cluster).of_left([0, 2])
    assert (left.devices, left.grid) == (2, None)
    assert [speed.macs_per_s for speed in left.cluster.speeds] == [4e9, 1e9]
    assert cluster.macs_per_s == 1e9


def test_what_cannot_be_planned_is_refused_with_what_can() -> None:
    for more, reason in (
        (("--devices", "9", "--grid", "9x1"), "nearest that works: --layers"),
        (("--devices", "2", "--memory", "14MB"), "nearest that works: --batch-size"),
        (("--devices", "3", "--grid", "2x2"), "has 4 tiles, but there are 3 devices"),
        (("--devices", "2", "--layers", "5"), "expected 1 to 4; layer 'average'"),
        (("--devices", "2", "--gmacs", "4,1,1"), "or of each of the 2 with commas"),
        (("--devices", "2", "--gmacs", "4,fast"), "--gmacs '4,fast': expected GMAC a second"),
        (("--devices", "2", "--link", "100Mbyte"), "expected a rate such as 100Mbit"),
        (("--devices", "2", "--activations", "some"), "expected one of recompute, keep, auto"),
        (("--devices", "2", "--arenas", "some"), "expected one of keep, free, auto"),
        (("--devices", "2", "--measure", "a:1"), "--measure has 1 addresses"),
        ((), "expected --devices N, or --measure"),
        (("--measure", "a"), "expected host:port"),
        (("--devices", "2", "--groups", "1-2 4"), "expected groups of layers 1 to 4"),
    ):
        code, _, err = run("plan", *MODEL, *more)
        assert code == 2, err
        assert reason in " ".join(err.split()), err


@contextlib.contextmanager
def agents(count: int) -> Generator[list[str]]:
    """Addresses of `tfplus agent tiles`, each a process."""
    command = child_process.command("tfplus", "agent", "tiles", "--listen", "127.0.0.1:0")
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        said = [process.stderr.readline() for process in started if process.stderr]
        yield [line.split()[-1] for line in said]
    finally:
        for process in started:
            process.terminate()
            process.communicate()


@pytest.mark.slow
def test_agents_are_measured_and_planned_for() -> None:
    with agents(2) as addresses:
        code, out, err = run(
            "plan", *MODEL, "--layers", "2", "--measure", ",".join(addresses), "--json"
        )
        assert code == 0, err
        plan = json.loads(out)
        measured = plan["measured"]
        assert [each["address"] for each in measured["devices"]] == addresses
        assert len(measured["links"]) == 2
        for each in measured["plans"]:
            assert each["measured_compute_s"] < each["measured_step_s"] < each["measured_whole_s"]
            # Passes are those of which speeds were found: they add up to about what they took.
            ratio = each["predicted_compute_s"] / each["measured_compute_s"]
            assert 0.1 < ratio < 10
        # Cuts in even and in other shares may have the same groups.
        alike = [p for p in measured["plans"] if p["groups"] == plan["best"]["groups"]]
        assert plan["best"]["predicted_step_s"] in [p["predicted_step_s"] for p in alike]
        code, out, _ = run("plan", *MODEL, "--layers", "1", "--measure", addresses[0])
        assert code == 0
        assert "predicted / measured" in out


@pytest.mark.slow
def test_two_processes_train_as_keras_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data, out, trace = tmp_path / "d.npz", tmp_path / "w.safetensors", tmp_path / "t.json"
    np.savez(data, x=rng.random((20, 12, 12, 1), np.float32), y=rng.integers(0, 4, 20))
    code, said, err = run(
        "train", *MODEL, "--local", "2", "--data", str(data), "--batch-size", "8", "--epochs", "2",
        "--optimizer", "adam", "--learning-rate", "1e-3", "--compare", "--json",
        "--weights-out", str(out), "--trace", str(trace),
    )  # fmt: skip
    assert code == 0, err
    result = json.loads(said)
    assert result["steps"] == 6
    assert result["devices_equal"]
    assert result["sent_bytes_per_step"] == result["predicted"]["sent_bytes"]
    assert result["comparison"]["max_relative_difference"] < 1e-4
    assert set(weights_file.read(out)) >= {"shared/conv1/kernel", "shared/logits/bias"}
    assert json.loads(trace.read_text())["traceEvents"]


@pytest.mark.slow
def test_processes_are_measured_and_train_by_what_came(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = tmp_path / "d.npz"
    np.savez(data, x=rng.random((16, 12, 12, 1), np.float32), y=rng.integers(0, 4, 16))
    code, said, err = run(
        "train", *MODEL, "--layers", "2", "--local", "2", "--measure", "--data", str(data),
        "--batch-size", "8", "--activations", "keep", "--arenas", "free", "--compare", "--json",
    )  # fmt: skip
    assert code == 0, err
    result = json.loads(said)
    assert (result["activations"], result["arenas"]) == ("keep", "free")
    assert result["steps"] == 2
    assert result["devices_equal"]
    assert result["comparison"]["max_relative_difference"] < 1e-4
    # What other plans took is in the processes' peaks.
    assert result["memory_bytes"] == []
    plans = result["measured"]["plans"]
    ran = [(plan["grid"], plan["groups"], list(plan["rows"])) for plan in plans]
    assert (result["grid"], result["groups"], result["rows"]) in ran


@pytest.mark.slow
def test_a_process_that_is_killed_is_done_without(tmp_path: Path) -> None:
    loaded = source.load(MODEL[0], input_shape=(12, 12, 1), classes=(0, 1, 2, 3), seed=0)
    training = trained.prepare(loaded, "m", 2, Sgd(0.05))
    rng = np.random.default_rng(0)
    x = rng.random((12, 12, 12, 1), np.float32)
    labels = rng.integers(0, 4, 12).astype(np.int32)
    samples = tile_training.Samples(lambda rows: x[rows], labels, "y")

    def files(devices: int):
        tiling = Tiling(training.tiled.chain, Grid.even(devices, 1), ((0, 1), (1, 2)))
        return training.files(tiling, 4, lambda text: None)

    states = []
    for killed in (False, True):
        with LocalDevices(2, None, tmp_path) as local:
            clients = [TilesClient(device.address) for device in local.devices]

            def kill(step: tile_training.Step, local=local, killed=killed) -> None:
                if killed and step.number == 1:
                    os.kill(local.devices[1].process.pid, signal.SIGKILL)

            outcome = tile_training.train(
                clients, files(2), samples, epochs=1, seed=0, replan=files,
                on_step=kill, on_loss=lambda lost: None,
            )  # fmt: skip
            for client in clients:
                client.close()
        assert len(outcome.steps) == 3
        assert [lost.left for lost in outcome.lost] == ([1] if killed else [])
        states.append(outcome.state)
    for name, value in states[0].items():
        assert np.abs(states[1][name] - value).max() <= 1e-5 * max(np.abs(value).max(), 1e-6)

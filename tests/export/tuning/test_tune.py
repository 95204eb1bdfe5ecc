"""`tfplus tune`: which lowering is fastest is measured once, and an export takes it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest
from keras import layers
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.errors import DataError, UsageError
from tfplus.model_file import artifact
from tfplus.model_file.manifest import Lowering, Preprocessing
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_export.pipeline import api, train_graph
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source
from tfplus_export.tuning import tuner, tuning_file
from tfplus_export.tuning.tuning_file import MeasuredOn, Measurement, TuningFile

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")

# One of the same shape as the first, and one of another.
MORE = (("second", 4), ("third", 2))
DEVICE = MeasuredOn("x86_64, some", "ai-edge-litert 2.3.0", 2)


def source(*more: tuple[str, int]) -> Source:
    """A convolution of four filters, and more: name and filters of each."""
    convolutions = [
        layers.Conv2D(filters, 3, padding="same", name=name)
        for name, filters in (("first", 4), *more)
    ]
    given, average = keras.Input((8, 8, 4)), layers.GlobalAveragePooling2D()
    model = keras.Sequential([given, *convolutions, average], name="tuned")
    return Source("test:tuned", model, None, None, None, Preprocessing(), None)


class Scripted:
    """A stopwatch that knows its times beforehand: lowering → milliseconds; others take 2."""

    def __init__(self, known: dict[str, float]) -> None:
        self.known = known
        self.asked: list[tuple[str, str]] = []

    def times(self, source: Source, default: Options, other: Options) -> tuple[float, float]:
        ((workload, name),) = other.lowerings.items()
        self.asked.append((workload, name))
        if len(self.asked) == self.known.get("fails at"):
            raise KeyboardInterrupt
        return 1.0, self.known.get(name, 2.0)


def run(watch: Scripted, tuning: TuningFile, path: Path) -> Iterator[TuningFile]:
    for more in tuner.tune(source(*MORE), Options(2), tuning, watch, lambda text: None):
        more.write(path)
        yield more


def test_each_operation_is_measured_once_and_the_fastest_is_taken(tmp_path: Path) -> None:
    # The first name is the default: the others are measured against it.
    workloads = tuner.workloads(source(*MORE), Options(2))
    assert [p.layer for p in workloads] == ["first", "third", "every layer"]
    every = [(p.workload, name) for p in workloads for name in p.names[1:]]
    fast = workloads[0].names[-1]
    watch = Scripted({fast: 0.5})
    *_, last = run(watch, TuningFile(DEVICE), tmp_path / "t.json")
    assert watch.asked == every
    assert last.lowerings() == {p.workload: fast for p in workloads if fast in p.names[1:]}
    assert tuning_file.read(tmp_path / "t.json") == last
    # What is known is not measured again.
    again = Scripted({})
    assert list(run(again, last, tmp_path / "t.json")) == []
    assert again.asked == []


def test_what_was_measured_before_a_kill_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    with pytest.raises(KeyboardInterrupt):
        list(run(Scripted({"fails at": 3}), TuningFile(DEVICE), path))
    kept = tuning_file.read(path)
    assert len(kept.measurements) == 2
    watch = Scripted({})
    *_, last = run(watch, kept, path)
    assert last.measurements[:2] == kept.measurements
    done = {(m.problem, m.lowering) for m in kept.measurements}
    assert done.isdisjoint(watch.asked)


def test_the_same_file_takes_the_same_time() -> None:
    """A batch that is too small to be divided, into parts of any size."""
    (*_, parts) = tuner.workloads(source(), Options(2))
    assert parts.names == ("parts of 4 MiB", "parts of 1 MiB", "parts of 16 MiB", "whole")
    other = Options(2, lowerings={parts.workload: "whole"})
    default_ms, step_ms = tuner.LocalStopwatch(1).times(source(), Options(2), other)
    assert default_ms == step_ms > 0


class SlowingAgent:
    """An agent that takes twice as long with every load, and 3 times as long for the other file."""

    address = "pi:1"

    def __init__(self) -> None:
        self.uploaded: list[bytes] = []
        self.loaded: list[int] = []
        self.steps: list[int] = []

    def upload(self, path: Path) -> str:
        self.uploaded.append(path.read_bytes())
        return str(len(self.uploaded) - 1)

    def load(self, sha256: str, *, threads: int, fresh: bool) -> None:
        assert (threads, fresh) == (2, True)
        self.loaded.append(int(sha256))

    def train(self, *, max_steps: int, report_every: int) -> Iterator[pb.TrainEvent]:
        self.steps.append(max_steps)
        pair = (len(self.loaded) - 1) // 2
        taken = (1.0, 3.0)[self.loaded[-1]] * 2.0**pair
        yield pb.TrainEvent(summary=pb.TrainSummary(median_step_milliseconds=taken))


def test_an_agent_that_gets_slower_does_not_change_the_ratio() -> None:
    workload = tuner.workloads(source(), Options(2))[0]
    other = Options(2, lowerings={workload.workload: workload.names[-1]})
    agent = SlowingAgent()
    watch = tuner.AgentStopwatch(agent, threads=2, steps=20)  # type: ignore[arg-type]
    default_ms, step_ms = watch.times(source(), Options(2), other)
    assert (default_ms, step_ms / default_ms) == (2.0, 3.0)
    # The second comes first in the second block; 20 steps of each, and no fewer.
    assert agent.loaded == [0, 1, 1, 0, 0, 1]
    assert agent.steps == [7] * 6
    assert agent.uploaded[0] != agent.uploaded[1]


def test_parts_are_taken_as_they_are_asked_for(tmp_path: Path) -> None:
    """Images of 1 MiB each."""
    given = keras.Input((256, 256, 4))
    model = keras.Sequential([given, layers.Conv2D(4, 1), layers.GlobalAveragePooling2D()])
    large = Source("test:large", model, None, None, None, Preprocessing(), None)
    (*_, parts) = tuner.workloads(large, Options(8))
    counts: list[int] = []
    for name in parts.names:
        options = Options(8, parity_steps=1, lowerings={parts.workload: name, "Batch of 1, x": "?"})
        written = api.export(large, tmp_path / "m.tflite", options, lambda text: None)
        assert written.manifest.lowerings[-1] == Lowering("every layer", parts.workload, name)
        counts.append(sum(written.manifest.operators.values()))
    default, small, big, whole = counts
    assert small > default > big == whole
    with pytest.raises(UsageError, match="has no lowering 'x', expected one of parts of 4 MiB"):
        train_graph.build(
            large, model, Options(8, lowerings={parts.workload: "x"}), lambda text: None
        )


@pytest.mark.parametrize(("step_ms", "taken"), [(0.97, True), (0.99, False), (1.5, False)])
def test_a_small_gain_changes_nothing(step_ms: float, taken: bool) -> None:
    found = Measurement("Conv2D 1", "a", "m", "rows", "columns", step_ms, 1.0, "2026-01-01")
    slower = dataclasses.replace(found, lowering="winograd2", step_ms=2.0)
    tuning = TuningFile(DEVICE, (found, slower))
    assert tuning.lowerings() == ({"Conv2D 1": "rows"} if taken else {})


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "device": {"a": 1}}'],
)
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"t\.json"):
        tuning_file.read(path)


MEASURED = {
    **dict.fromkeys(("problem", "layer", "model", "lowering", "default", "date"), "a"),
    "step_ms": 1.0,
    "default_ms": 2.0,
}


@pytest.mark.parametrize(
    "change",
    [{"step_ms": "1"}, {"step_ms": 0}, {"default_ms": float("nan")}, {"step_ms": float("inf")},
     {"step_ms": True}, {"layer": 3}, {"date": None}],
)  # fmt: skip
def test_a_measurement_that_is_none_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    whole = {"schema_version": 1, "device": dataclasses.asdict(DEVICE), "measurements": [MEASURED]}
    path.write_text(json.dumps(whole))
    assert tuning_file.read(path).lowerings() == {"a": "a"}
    path.write_text(json.dumps({**whole, "measurements": [MEASURED | change]}))
    with pytest.raises(DataError, match=r"t\.json"):
        tuning_file.read(path)


@pytest.mark.slow
def test_the_command_measures_and_an_export_takes_it(tmp_path: Path) -> None:
    model = tmp_path / "m.keras"
    source().model.save(model)
    target = tmp_path / "t.json"
    arguments = ["tune", str(model), "-o", str(target), "--batch-size", "2", "--threads", "1"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["device"]["threads"] == 1
    assert all(m["step_ms"] > 0 and m["default_ms"] > 0 for m in found["measurements"])
    # Another number of threads is another device.
    refused = CliRunner().invoke(app, [*arguments[:-1], "2"])
    assert refused.exit_code == 2
    assert "a tuning file is of one device" in refused.stderr
    # The export takes what the file says, whatever was measured here.
    tuning = tuning_file.read(target)
    fastest = {m.problem: m.lowering for m in tuning.measurements}
    measured = tuple(
        dataclasses.replace(
            m, step_ms=0.1 if fastest[m.problem] == m.lowering else 9.0, default_ms=1.0
        )
        for m in tuning.measurements
    )
    dataclasses.replace(tuning, measurements=measured).write(target)
    output = tmp_path / "m.tflite"
    exported = CliRunner().invoke(
        app,
        ["export", str(model), "-o", str(output), "--batch-size", "2", "--tuning", str(target)],
    )
    assert exported.exit_code == 0, exported.stderr
    named = {low.problem: low.name for low in artifact.read(output).manifest.lowerings}
    assert named == fastest
    said = " ".join(exported.stdout.split())
    assert f"was measured for {len(named)} of {len(named)} operations" in said
    # A workload has the batch size in it.
    other = ["export", str(model), "-o", str(tmp_path / "n.tflite"), "--batch-size", "3"]
    said = " ".join(CliRunner().invoke(app, [*other, "--tuning", str(target)]).stdout.split())
    assert f"was measured for 0 of {len(named)} operations: it has no effect" in said
    shown = CliRunner().invoke(app, ["inspect", str(output)]).stdout
    assert "Lowerings" in shown
    assert all(name in shown for name in fastest.values())

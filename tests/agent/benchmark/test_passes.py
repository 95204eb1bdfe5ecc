"""What a repetition measures: joules of a known power, waits for gates, work beside a training."""

from __future__ import annotations

import random
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfplus.benchmark.repetition import Gates, Request
from tfplus.errors import WorkerError
from tfplus.model_file.artifact import Artifact
from tfplus_agent.benchmark import (
    co_runners,
    energy,
    gating,
    interference,
    process,
    response,
    stress_ng,
)
from tfplus_agent.benchmark.opened import Opened
from tfplus_agent.telemetry.energy import Energy

VOLTS, AMPERES = 3.85, 1.25


class Clock:
    """Seconds that pass when somebody works or waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def battery(root: Path, **files: object) -> Path:
    supply = root / "sys/class/power_supply/BAT0"
    supply.mkdir(parents=True, exist_ok=True)
    told = {"type": "Battery", "status": "Discharging", "capacity": 80, **files}
    told |= {"voltage_now": int(VOLTS * 1e6), "current_now": int(AMPERES * 1e6)}
    for name, value in told.items():
        (supply / name).write_text(f"{value}\n")
    return root


@pytest.fixture
def opened(toy: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model whose step takes 10 ms of a clock that is not the machine's."""
    clock = Clock()
    request = Request(str(toy.path), "train", 1, 31, kind="energy", idle_s=2.0)
    found = Opened(request, tmp_path, lambda times: None)
    monkeypatch.setitem(found.__dict__, "step", lambda: clock.sleep(0.010))
    timed = found.timed
    monkeypatch.setattr(found, "timed", lambda n, s=0.0: timed(n, s, clock))
    return SimpleNamespace(it=found, clock=clock, root=tmp_path)


def test_joules_of_a_known_power_are_right_to_a_hundredth(opened: Any) -> None:
    battery(opened.root)
    answer = energy.run(opened.it, opened.clock, opened.clock.sleep)
    assert answer.absent == {}
    source = "energy battery_power_watts"
    # 30 steps of 10 ms: the first of the 31 is warm-up, and in no joule.
    assert answer.values[f"{source} joules"] == pytest.approx(VOLTS * AMPERES * 0.3, rel=0.01)
    step = VOLTS * AMPERES * 0.010
    assert answer.values[f"{source} joules_per_step"] == pytest.approx(step, rel=0.01)
    batch = opened.it.found.manifest.batch_size
    assert answer.values[f"{source} joules_per_sample"] == pytest.approx(step / batch, rel=0.01)
    assert answer.values[f"{source} idle_watts"] == pytest.approx(VOLTS * AMPERES, rel=0.01)
    assert answer.values[f"{source} joules_above_idle"] == pytest.approx(0.0, abs=1e-6)
    assert answer.iteration_ms == pytest.approx([10.0] * 31)


def test_without_a_source_the_reason_is_there_and_no_zero(opened: Any) -> None:
    answer = energy.run(opened.it, opened.clock, opened.clock.sleep)
    assert "no battery" in answer.absent["energy_joules"]
    assert "no counter of energy" in answer.absent["energy_joules"]
    assert not [name for name in answer.values if "joules" in name]


def test_sources_are_never_added() -> None:
    one = energy.of_source(Energy("a", 4.0, 2.0, "integrated", 9, 0.5), 2, 8)
    other = energy.of_source(Energy("b", 6.0, 2.0, "counted", 2), 2, 8)
    assert not one.keys() & other.keys()
    assert (one["energy a joules_per_step"], one["energy a joules_above_idle"]) == (2.0, 3.0)
    assert "energy b idle_watts" not in other


def heat(root: Path, celsius: float) -> Path:
    zone = root / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "type").write_text("cpu\n")
    (zone / "temp").write_text(f"{celsius * 1e3:.0f}\n")
    return root


def test_a_repetition_waits_until_the_device_is_cool(tmp_path: Path) -> None:
    clock = Clock()
    heat(tmp_path, 71)

    def cools(seconds: float) -> None:
        clock.sleep(seconds)
        # A gate that has closed opens 5 degrees below its limit.
        heat(tmp_path, 71 - (clock.now - 100))

    request = Request("", "train", 1, 3, gates=Gates(max_celsius=70, max_load=2.0))
    waited = gating.wait(request, tmp_path, clock, cools)
    assert waited.values["gate_wait_s"] == pytest.approx(6.0)
    assert waited.values["gates_waited_for"] == "temperature: 71 °C of 70 °C at most"
    assert "gate_timed_out" not in waited.values
    assert "no load average" in waited.absent["gate load"]


def test_a_gate_that_stays_closed_is_told(tmp_path: Path) -> None:
    clock = Clock()
    request = Request("", "train", 1, 3, gates=Gates(max_celsius=70, timeout_s=4.5))
    waited = gating.wait(request, heat(tmp_path, 90), clock, clock.sleep)
    assert waited.values["gate_wait_s"] == pytest.approx(4.5)
    assert waited.values["gate_timed_out"] == "temperature: 90 °C of 65 °C at most"


def test_throttling_in_the_middle_is_told(tmp_path: Path) -> None:
    assert gating.throttling_since({}, tmp_path) == {}
    counter = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    counter.parent.mkdir(parents=True)
    counter.write_text("7\n")
    before = gating.throttled(tmp_path)
    assert gating.throttling_since(before, tmp_path) == {"throttled": False}
    counter.write_text("8\n")
    assert gating.throttling_since(before, tmp_path) == {"throttled": True}


def test_lateness_of_frames_is_what_was_put_in() -> None:
    clock, draw = Clock(), random.Random(1)  # noqa: S311
    late = [draw.choice([0.0, 0.002, 0.020]) for _ in range(300)]
    coming = iter(late)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds + next(coming))

    probe = response.Response()
    probe.run(clock, sleep, lambda: len(probe.lateness_s) == len(late))
    told = probe.told()
    assert told["units"] == 300
    # A frame that begins 20 ms late makes the next one late, too, by what is left of it.
    expected, behind = [], 0.0
    coming = iter(late)
    for _ in late:
        left = 1 / 60 - behind
        behind = next(coming) if left > 0 else -left
        expected.append(behind * 1e3)
    assert told["lateness_ms"] == pytest.approx(expected, abs=1e-3)


def test_what_training_does_to_a_program_and_the_other_way_round() -> None:
    blocks = interference.Blocks()
    blocks.alone = [{"units": 100, "seconds": 1.0}] * 4
    blocks.beside = [{"units": 50, "seconds": 1.0}] * 4
    blocks.together, blocks.training = [(6.0, 6.0, 90.0)] * 4, [(4.0, 4.0, 4.0)] * 4
    values = interference.summary(blocks)
    assert values["co_runner_slowdown_ratio"] == 2.0
    assert values["step_slowdown_ratio"] == 1.5
    blocks.alone = [{"units": 3, "seconds": 0.05, "lateness_ms": [0.0, 0.0, 1.0]}]
    blocks.beside = [{"units": 3, "seconds": 0.05, "lateness_ms": [0.0, 17.0, 99.0]}]
    values = interference.summary(blocks)
    assert values["alone_missed_frames_share"] == 0.0
    assert values["beside_missed_frames_share"] == pytest.approx(2 / 3)
    assert values["beside_lateness_median_ms"] == 17.0


@pytest.mark.parametrize("name", co_runners.BUILT_IN)
def test_a_unit_of_every_co_runner_is_work(name: str) -> None:
    work = co_runners.BUILT_IN[name]()
    assert work() == work() or name == "aes"


def test_known_answers_of_co_runners() -> None:
    assert co_runners.primes()() == 23_000  # primes below 2**18


def test_a_co_runner_works_between_go_and_stop_alone() -> None:
    with interference.BuiltIn("integers") as other:
        other.go()
        first = other.stop()
        other.go()
        second = other.stop()
    assert first["seconds"] > 0
    assert second["units"] >= 0
    with pytest.raises(WorkerError, match="co-runner 'knitting': expected one of integers"):
        interference._started("knitting")


def test_the_count_of_stress_ng_is_read() -> None:
    said = (
        "stress-ng: metrc: [9] stressor       bogo ops real time  usr time\n"
        "stress-ng: metrc: [9]                           (secs)    (secs)\n"
        "stress-ng: metrc: [9] cpu                 1234      1.00      1.00\n"
    )
    assert stress_ng.operations_of(said) == 1234.0
    with pytest.raises(WorkerError, match="told no count"):
        stress_ng.operations_of("stress-ng: unrecognised option")


def test_a_real_repetition_beside_a_co_runner_and_its_operations(model: Artifact) -> None:
    told: list[float] = []

    def take(line: Any) -> None:
        told.extend(line.get("ms", ()))

    request = Request(str(model.path), "train", 1, 10, 1.2, "interference", co_runner="compression")
    answer = process.measured(request, take)
    assert told == list(answer.iteration_ms)
    assert answer.values["co_runner_alone_per_s"] > 0
    assert statistics.median(told) > 0
    answer = process.measured(Request(str(model.path), "train", 1, 8, kind="operations"), take)
    phases = {o.phase for o in answer.operations}
    assert {"forward", "backward", "update"} <= phases
    total = sum(o.ms for o in answer.operations)
    assert total == pytest.approx(answer.values["operations_sum_ms"])
    missing = answer.values["between_operations_ms"]
    assert total + missing == pytest.approx(answer.values["profiled_step_ms"])

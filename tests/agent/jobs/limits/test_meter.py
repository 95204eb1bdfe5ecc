"""What jobs take, by sensors of a tree of the test's own, and budgets of energy."""

from __future__ import annotations

from pathlib import Path

import pytest
from job_fakes import FakeDevice, Kind, Opener, events_of, training

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1.reports_pb2 import EnergyReport, WorkReport
from tfplus_agent.jobs.limits import budgets
from tfplus_agent.jobs.limits.ledger import Costs, Ledger
from tfplus_agent.jobs.limits.meter import Meter
from tfplus_agent.results import MemoryReading

SOURCE = "package_energy_joules package-0-0"


def put(path: Path, text: str) -> None:
    """Writes a file that nobody ever reads half of."""
    part = path.with_name("part")
    part.write_text(text)
    part.replace(path)


class Machine:
    """A counter of energy and a thermal zone, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now, self.joules, self.celsius = 100.0, 50.0, 40.0
        self.passes(0, 0, 40)

    def passes(self, seconds: float, watts: float, celsius: float) -> None:
        self.now += seconds
        self.joules += watts * seconds
        rapl = self.root / "sys/class/powercap/intel-rapl:0"
        zone = self.root / "sys/class/thermal/thermal_zone0"
        for folder in (rapl, zone):
            folder.mkdir(parents=True, exist_ok=True)
        put(rapl / "name", "package-0")
        put(rapl / "energy_uj", f"{self.joules * 1e6:.0f}")
        put(rapl / "max_energy_range_uj", "262143328850")
        put(zone / "type", "cpu")
        put(zone / "temp", f"{celsius * 1000:.0f}")

    def meter(self, busy: list[int] | None = None) -> Meter:
        return Meter(
            lambda: MemoryReading(10, 20, 30),
            (lambda: busy[0]) if busy else lambda: 0,
            self.root,
            period_s=3600,
            clock=lambda: self.now,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "tree")


def spent(meter: Meter, machine: Machine) -> WorkReport:
    ledger = Ledger()

    def spend(costs: Costs) -> float:
        ledger.spend(costs)
        return 3600.0

    with meter.running(spend) as up_to_now:
        machine.passes(4, 10, 55)
        up_to_now()
        machine.passes(0.1, 20, 60)
        # Too soon for the sensors: the time counts now, and the energy at the end.
        up_to_now()
        assert ledger.total.seconds == pytest.approx(4.1)
        assert ledger.total.energy[0].joules == pytest.approx(40)
        machine.passes(6, 5, 50)
    return ledger.total


def test_it_counts_time_energy_heat_and_memory(machine: Machine) -> None:
    report = spent(machine.meter(), machine)
    (energy,) = report.energy
    assert (energy.source, energy.counted) == (SOURCE, True)
    assert energy.joules == pytest.approx(4 * 10 + 0.1 * 20 + 6 * 5)
    assert (energy.seconds, report.seconds) == (pytest.approx(10.1), pytest.approx(10.1))
    assert not energy.HasField("idle_watts")
    assert report.peak_celsius == 55
    assert report.peak_celsius_source.endswith("thermal_zone0/temp")
    assert (report.daemon_peak_rss_bytes, report.worker_peak_rss_bytes) == (10, 30)
    assert report.energy_absent_reason == report.temperature_absent_reason == ""


def test_the_idle_baseline_is_from_before_and_only_where_it_was_idle(machine: Machine) -> None:
    busy = [0]
    meter = machine.meter(busy)
    meter.idles()
    machine.passes(20, 3, 40)
    assert spent(meter, machine).energy[0].idle_watts == pytest.approx(3)
    # Others trained meanwhile: what was known stays.
    meter.idles()
    machine.passes(20, 30, 70)
    busy[0] += 1
    assert spent(meter, machine).energy[0].idle_watts == pytest.approx(3)
    meter.idles()
    machine.passes(20, 4, 40)
    assert spent(meter, machine).energy[0].idle_watts == pytest.approx(4)


def test_a_budget_of_energy_ends_a_job_that_says_by_which_source(
    opened: Opener, machine: Machine
) -> None:
    device = FakeDevice()
    meter = Meter(lambda: MemoryReading(), lambda: 0, machine.root, 0.01, lambda: machine.now)
    device.before_step = lambda step: machine.passes(1, 10, 50)
    queue = opened(device, meter=meter)
    spec = training(epochs=100_000)
    spec.max_joules = 200
    queue.submit(spec)
    end = events_of(queue, "1")[-1]
    assert end.kind == Kind.FINISHED
    assert end.reason.startswith("its budget of 200 J is used up: ")
    assert end.reason.endswith("J by package_energy_joules")
    assert end.report.energy[0].joules >= 200
    assert 20 <= end.steps_done == device.saved < 1_000_000


def test_a_budget_of_energy_is_refused_where_nothing_tells_it(
    opened: Opener, tmp_path: Path
) -> None:
    queue = opened(
        FakeDevice(), start=False, meter=Meter(lambda: MemoryReading(), root=tmp_path / "none")
    )
    spec = training()
    spec.max_joules = 10
    with pytest.raises(UsageError, match=r"unavailable because .*no battery.*no counter of energy"):
        queue.submit(spec)


def report_of(seconds: float, *energy: tuple[str, float, float]) -> WorkReport:
    sources = [EnergyReport(source=s, joules=j, seconds=t) for s, j, t in energy]
    return WorkReport(seconds=seconds, energy=sources)


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (report_of(10, ("package_energy_joules a", 4.0, 10), (SOURCE, 5.0, 10)), ""),
        (report_of(10, ("package_energy_joules a", 6.0, 10), (SOURCE, 5.0, 10)), "11 J by pack"),
        # The board, and not the package that is a part of it.
        (report_of(10, (SOURCE, 50.0, 10), ("board_power_watts", 9.0, 10)), ""),
        # A battery on a charger, and rails that may be parts of one another, stand for nothing.
        (report_of(10, ("battery_power_watts", -50.0, 10)), ""),
        (
            report_of(61, ("rail_power_watts a", 50.0, 61), ("rail_power_watts b", 1.0, 61)),
            "no sen",
        ),
        (report_of(90, (SOURCE, 1.0, 20)), "not answered for a minute"),
        (report_of(61), "no sensor tells energy any more"),
    ],
)
def test_the_widest_source_decides(report: WorkReport, reason: str) -> None:
    found = budgets.used_up(pb.JobSpec(max_joules=10), report)
    assert bool(found) == bool(reason)
    assert reason in found

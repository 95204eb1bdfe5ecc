"""What commands took, by cause: seconds, joules of a tree of sensors, bytes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.features import costs
from tfplus.features.costs import Cost
from tfplus.features.index import Index
from tfplus_agent.features.metering import metered
from tfplus_agent.jobs.limits.meter import Meter
from tfplus_agent.results import MemoryReading


class Machine:
    """A clock, a processor, and a counter of energy or none."""

    def __init__(self, root: Path, *, has_sensor: bool) -> None:
        self.root, self.now, self.cpu_s, self.joules = root, 100.0, 7.0, 50.0
        self._rapl = root / "sys/class/powercap/intel-rapl:0"
        if has_sensor:
            self._rapl.mkdir(parents=True)
            (self._rapl / "name").write_text("package-0")
            (self._rapl / "max_energy_range_uj").write_text("262143328850")
        self.works(0, 0)

    def works(self, seconds: float, watts: float) -> None:
        self.now += seconds
        self.cpu_s += 2 * seconds
        self.joules += watts * seconds
        if self._rapl.is_dir():
            (self._rapl / "energy_uj").write_text(f"{self.joules * 1e6:.0f}")

    @property
    def options(self) -> dict[str, object]:
        meter = Meter(MemoryReading, root=self.root, period_s=3600, clock=lambda: self.now)
        return {"meter": meter, "cpu_s": lambda: self.cpu_s, "clock": lambda: self.now}


def read(folder: Path) -> list[Cost]:
    index = Index(folder)
    try:
        return costs.every(index.db)
    finally:
        index.close()


def test_what_was_taken_is_added_up_by_cause(tmp_path: Path) -> None:
    machine, client = (
        Machine(tmp_path, has_sensor=True),
        SimpleNamespace(sent_bytes=5, received_bytes=6),
    )
    kept = tmp_path / "kept"
    kept.mkdir()
    for _ in range(2):
        with metered(kept, costs.FLUSH, client, **machine.options):  # type: ignore[arg-type]
            machine.works(3, 10)
            client.sent_bytes += 100
            client.received_bytes += 10
    # What was tried took something, too.
    with (
        pytest.raises(ValueError, match="away"),
        metered(kept, costs.PULL, client, **machine.options),  # type: ignore[arg-type]
    ):
        machine.works(1, 20)
        client.sent_bytes += 1
        raise ValueError("away")
    assert read(kept) == [
        Cost("flush", 2, 6.0, 12.0, pytest.approx(60), 6.0, 200, 20),  # type: ignore[arg-type]
        Cost("pull", 1, 1.0, 2.0, pytest.approx(20), 1.0, 1, 0),  # type: ignore[arg-type]
    ]
    done = CliRunner().invoke(app, ["features", "costs", "--feature-cache", str(kept), "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["no_joules"] == ""
    assert [(one["cause"], round(one["joules"])) for one in told["causes"]] == [
        ("flush", 60),
        ("pull", 20),
    ]


def test_no_joules_are_made_of_seconds(tmp_path: Path) -> None:
    machine, kept = Machine(tmp_path, has_sensor=False), tmp_path / "kept"
    kept.mkdir()
    with metered(kept, costs.TRAINING, **machine.options):  # type: ignore[arg-type]
        machine.works(3, 10)
    # A sensor that answered for a third of the time stands for nothing.
    index = Index(kept)
    costs.add(index.db, Cost("pull", 1, 9.0, 1.0, 30.0, 3.0))
    index.close()
    done = CliRunner().invoke(app, ["features", "costs", "--feature-cache", str(kept), "--json"])
    told = json.loads(done.stdout)
    assert [(one["cause"], one["cpu_s"], one["joules"]) for one in told["causes"]] == [
        ("pull", 1.0, None),
        ("training", 6.0, None),
    ]
    assert told["no_joules"]
    done = CliRunner().invoke(app, ["features", "costs", "--feature-cache", str(kept)])
    assert "not known" in done.stdout
    assert "the CPU seconds stand for them" in " ".join(done.stdout.split())


def test_where_nothing_is_kept_nothing_is_measured(tmp_path: Path) -> None:
    with metered(None, costs.TRAINING):
        pass
    with metered(tmp_path / "none", costs.PULL):
        pass
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(app, ["features", "costs", "--feature-cache", str(tmp_path)])
    assert done.exit_code == 2
    assert "no feature cache" in done.stderr

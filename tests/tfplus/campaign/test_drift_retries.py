"""Blocks in which the reference moved are measured anew, and no others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tfplus.benchmark.repetition import Answer, Request
from tfplus.campaign import account, devices, journal, results, runner, summary
from tfplus.campaign.planning.plan import Plan
from tfplus.measure.result import Environment

HERE = Environment("board", "x86_64", "os", "6.1", "cpu", 2, None, 1 << 30, "3.11", "0.1", None)
# The reference at its begin, two cells, the reference at its end.
A_BLOCK = 4


class Machine:
    """Its speed changes within some blocks: the last process of those is twice as slow.

    Args:
      slow: numbers of the blocks, in the order in which they run, those that run anew included.
    """

    def __init__(self, slow: Sequence[int]) -> None:
        self.calls: list[Request] = []
        self._slow = slow

    def __call__(self, request: Request, timeout_s: float) -> Answer:
        block, place = divmod(len(self.calls), A_BLOCK)
        self.calls.append(request)
        ms = 4.0 if block in self._slow and place == A_BLOCK - 1 else 2.0
        # The number of the block is in the times: it tells which attempt counts.
        return Answer("fake 1", (9.0, *[ms + block / 1000] * 4), {})

    def run(self, plan: Plan, folder: Path) -> results.Campaign:
        device = devices.Local(self, HERE, 1 << 30)
        runner.run(plan, folder, open_device=lambda n, a: device)
        return results.read(folder)


def retrying(plan: Plan, times: int) -> Plan:
    return dataclasses.replace(plan, drift_retries=times)


def test_a_block_that_drifted_runs_anew_until_it_does_not(plan: Plan, tmp_path: Path) -> None:
    # Blocks 1 and 3 drift; they run anew as numbers 5 and 6, of which 6 drifts, and then as 7.
    machine = Machine((1, 3, 6))
    found = machine.run(retrying(plan, 3), tmp_path / "r")
    assert len(machine.calls) == A_BLOCK * (5 + 2 + 1)
    assert found.anew == {("local", 1): 1, ("local", 3): 2}
    moved = [found.drift("local", block) for block in range(5)]
    assert moved == pytest.approx([0.0] * 5)
    for repetitions in found.by_cell.values():
        counted = {r.number: r.median_ms for r in repetitions}
        assert counted == pytest.approx({0: 2.0, 1: 2.005, 2: 2.002, 3: 2.007, 4: 2.004})
    assert all(s.is_valid for s in summary.of(found))
    # What was measured before is still in the journal, and no run has two results that count.
    events = journal.read(tmp_path / "r")
    assert sum(e["event"] == "done" for e in events) == A_BLOCK * 8
    assert account.of(found.plan, events).is_complete


def test_attempts_end_and_the_number_stays_invalid(plan: Plan, tmp_path: Path) -> None:
    machine = Machine(range(99))
    found = machine.run(retrying(plan, 2), tmp_path / "r")
    assert len(machine.calls) == A_BLOCK * 5 * 3
    assert all("drift" in s.verdict for s in summary.of(found))
    # Nor does another start begin anew.
    machine.run(retrying(plan, 2), tmp_path / "r")
    assert len(machine.calls) == A_BLOCK * 5 * 3


def test_without_retries_a_block_runs_once(plan: Plan, tmp_path: Path) -> None:
    machine = Machine((1, 3))
    found = machine.run(plan, tmp_path / "r")
    assert len(machine.calls) == A_BLOCK * 5
    assert found.anew == {}


class Closing(devices.Local):
    """A device that measures nothing more once it was stopped, as an agent's connection."""

    is_closed = False

    def measure(self, *asked: Any) -> Answer:
        assert not self.is_closed
        return super().measure(*asked)

    def stop(self) -> None:
        self.is_closed = True


def test_each_device_measures_its_own_blocks_anew(plan: Plan, tmp_path: Path) -> None:
    names = {"local": "local", "b": "b"}
    cells = [dataclasses.replace(cell, device=name) for name in names for cell in plan.cells]
    both = dataclasses.replace(retrying(plan, 3), devices=names, cells=tuple(cells))
    machines = {"local": Machine((1,)), "b": Machine((0, 2))}
    opened = {name: Closing(machine, HERE, 1 << 30) for name, machine in machines.items()}
    runner.run(both, tmp_path / "r", open_device=lambda name, address: opened[name])
    found = results.read(tmp_path / "r")
    assert found.anew == {("local", 1): 1, ("b", 0): 1, ("b", 2): 1}
    assert {n: len(m.calls) for n, m in machines.items()} == {
        "local": 6 * A_BLOCK,
        "b": 7 * A_BLOCK,
    }
    assert account.of(both, journal.read(tmp_path / "r")).is_complete
    assert all(device.is_closed for device in opened.values())


class CutError(Exception):
    """The machine lost its power."""


def test_cut_off_in_mid_retry_it_goes_on_with_what_is_missing(plan: Plan, tmp_path: Path) -> None:
    machine = Machine((1, 3))
    most = A_BLOCK * 5 + 2

    def dies(request: Request, timeout_s: float) -> Answer:
        if len(machine.calls) == most:
            raise CutError
        return machine(request, timeout_s)

    device = devices.Local(dies, HERE, 1 << 30)
    with pytest.raises(CutError):
        runner.run(retrying(plan, 3), tmp_path / "r", open_device=lambda n, a: device)
    found = machine.run(retrying(plan, 3), tmp_path / "r")
    assert len(machine.calls) == A_BLOCK * (5 + 2)
    assert found.anew == {("local", 1): 1, ("local", 3): 1}
    assert account.of(found.plan, journal.read(tmp_path / "r")).is_complete

"""Each kind of fault once, against one real agent; `scripts/chaos` strikes it a hundred times."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.experiment import STEPS, run
from chaos.faults import RESUMES
from chaos.schedule import KINDS, schedule

from tfplus_agent.doctor.patient import probe

# A real agent, a second device beside it, and a worker that hangs.
pytestmark = pytest.mark.slow


def test_no_fault_costs_an_acknowledged_result_or_a_bit(tmp_path: Path) -> None:
    faults = schedule(1, len(KINDS), STEPS)
    # A test that is killed leaves no mount behind.
    outcome = run(faults, probe().read, tmp_path, may_mount=False)
    assert outcome.violations == []
    assert [r.fault for r in outcome.recoveries] == list(faults)
    ended = {r.fault.kind: r.ended for r in outcome.recoveries}
    assert {kind for kind, how in ended.items() if how != "finished"} <= {"disk-full"}
    for recovery in outcome.recoveries:
        if recovery.fault.kind in RESUMES:
            assert recovery.recovered_s is not None
            assert recovery.steps == STEPS

"""One run: a job a fault, each held to an undisturbed training and to what was acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from chaos.faults import MAY_GO_BACK, RESUMES, STRIKES
from chaos.ledger import Ledger
from chaos.rig import START_TIMEOUT_S, Rig, RigError
from chaos.schedule import Fault
from chaos.undisturbed import Undisturbed
from tfplus.errors import TfplusError
from tfplus.fleet.clients.client import AgentClient
from tfplus.fleet.job_events import follow
from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb

STEPS = 1500
CHECKPOINT_EVERY = 50
_REPORT_EVERY = 10
# Of jobs that have ended, as many stay known.
_KEEP_JOBS = 100
# A fault that came too late is tried again so often, in another job.
_MOST_LATE = 5
_BIAS = "shared/logits/bias"
Kind = pb.JobEvent


@dataclass(frozen=True)
class Recovery:
    """What one fault came to.

    Attributes:
      fault: which.
      struck_at_step: of the job.
      recovered_s: from the end of its cause to the first step beyond, in seconds; None where the
        job had to end.
      ended: how the job did, in words.
      steps: that the job came to.
      late: it came when the job was over already, and disturbed nothing.
    """

    fault: Fault
    struck_at_step: int
    recovered_s: float | None
    ended: str
    steps: int
    late: bool = False


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
      how: by what means faults were made.
      recoveries: of each fault.
      violations: what was lost, or wrong.
      checked: comparisons that were made.
    """

    how: dict[str, str]
    recoveries: list[Recovery] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    checked: int = 0


def samples(folder: Path) -> tuple[Path, Path]:
    """Writes digits of noise, 150 to train on and 50 to measure with."""
    paths = (folder / "train.npz", folder / "eval.npz")
    for path, count in zip(paths, (150, 50), strict=True):
        rng = np.random.default_rng(count)
        x = rng.integers(0, 17, (count, 8, 8, 1)).astype(np.uint8)
        np.savez(path, x=x, y=np.arange(count) % 10)
    return paths


def run(
    faults: Sequence[Fault],
    model: Artifact,
    folder: Path,
    on_fault: Callable[[Recovery], object] = lambda _: None,
    *,
    may_mount: bool = True,
) -> Outcome:
    """Strikes one agent with all faults, one after the other.

    Args:
      faults: as `schedule` draws them.
      model: what it trains.
      folder: an empty one.
      on_fault: told what each came to.
      may_mount: see `Rig`.
    """
    data, eval_data = samples(folder)
    ledger = Ledger()
    rig = Rig(folder, data, eval_data, may_mount=may_mount)
    outcome = Outcome(rig.how)
    try:
        with Undisturbed(model, folder / "undisturbed", data, eval_data) as expected:
            with rig.client() as client:
                client.load(client.upload(model.path))
            for fault in faults:
                try:
                    recovery = _one(rig, fault, expected, ledger)
                    for _ in range(_MOST_LATE):
                        if recovery.late:
                            recovery = _one(rig, fault, expected, ledger)
                except TfplusError as error:
                    ledger.expect(f"fault {fault.number} ({fault.kind})", False, error)
                    break
                name = f"fault {fault.number} ({fault.kind})"
                ledger.expect(f"{name}: it comes in time", not recovery.late)
                outcome.recoveries.append(recovery)
                on_fault(recovery)
        ledger.expect("no traceback in the agent's log", rig.tracebacks() == 0, rig.tracebacks())
    finally:
        rig.close()
    outcome.violations, outcome.checked = ledger.violations, ledger.checked
    return outcome


def _one(rig: Rig, fault: Fault, expected: Undisturbed, ledger: Ledger) -> Recovery:
    before = expected.steps
    with rig.client() as client:
        # An acknowledged result of another kind than steps: it must outlive the fault, too.
        value = np.random.default_rng(fault.seed).normal(size=10).astype(np.float32)
        ledger.expect("weights are saved once set", client.set_weights({_BIAS: value}).saved)
        expected.set_weights({_BIAS: value})
        spec = pb.TrainJob(
            max_steps=STEPS,
            seed=fault.seed,
            checkpoint_every=CHECKPOINT_EVERY,
            report_every=_REPORT_EVERY,
        )
        job = client.submit_job(pb.JobSpec(train=spec)).id
        recovery = _struck(rig, client, fault, job, ledger)
        if fault.kind == "upload-cut":
            # Once more where nothing trains, and nobody would refuse a whole one.
            STRIKES[fault.kind](rig, fault, job, ledger)
        (status,) = [s for s in client.jobs() if s.id == job]
        ledger.ended(status)
        name = f"fault {fault.number} ({fault.kind})"
        whole = status.state == pb.JobStatus.FINISHED and status.steps_done == STEPS
        if fault.kind == "disk-full" and not whole:
            ledger.expect(f"{name}: a job that ends says why", bool(status.error), status)
            # What was learned until then is in memory, and written as soon as there is room.
            client.set_weights({_BIAS: client.weights([_BIAS])[_BIAS]})
        else:
            ledger.expect(f"{name}: the job is finished", whole, status)
        taken = client.status().trained_steps - before
        ledger.expect(f"{name}: as many steps as the job says", taken == status.steps_done, taken)
        expected.train(taken, fault.seed)
        ledger.equal(name, client.weights(include_optimizer=True), expected.variables())
        found = dict(client.evaluate().metrics)
        ledger.expect(f"{name}: evaluates to the same", found == expected.metrics(), found)
        ledger.reread(job, list(client.watch_job(job)))
        ledger.listed(client.jobs(), _KEEP_JOBS)
    return recovery


def _struck(rig: Rig, client: AgentClient, fault: Fault, job: str, ledger: Ledger) -> Recovery:
    """Follows a job to its end, and strikes on the way."""
    may_go_back = fault.kind in MAY_GO_BACK
    struck_at = 0
    for event in follow(client, job, patience_s=START_TIMEOUT_S):
        ledger.told(job, event, may_go_back=may_go_back)
        if event.kind == Kind.STEP and event.steps_done >= fault.at_step:
            struck_at = event.steps_done
            break
    if not struck_at:
        raise RigError(f"job {job}: it ended before its fault came")
    over = STRIKES[fault.kind](rig, fault, job, ledger)
    upcoming = ledger.seen(job)[-1].sequence + 1
    # What was on its way to the client before the fault says nothing of what comes after it.
    resumed = fault.kind not in RESUMES
    recovered: float | None = None
    for event in follow(client, job, upcoming, patience_s=START_TIMEOUT_S):
        ledger.told(job, event, may_go_back=may_go_back)
        resumed = resumed or event.kind == Kind.RESUMED
        if recovered is None and resumed and event.kind in (Kind.STEP, Kind.CHECKPOINT):
            recovered = time.monotonic() - over
    last = ledger.seen(job)[-1]
    # Events come to a client somewhat after they happen: the job may have ended since.
    late = not resumed and last.kind == Kind.FINISHED
    name = f"fault {fault.number} ({fault.kind})"
    ledger.expect(f"{name}: it was taken up again", resumed or late, last)
    if last.kind != Kind.FINISHED:
        recovered = None
    ended = Kind.Kind.Name(last.kind).lower()
    return Recovery(fault, struck_at, recovered, ended, last.steps_done, late)

"""Thousands of short jobs on one real agent; memory, descriptors, threads and disk must not grow.

usage: scripts/soak [--minutes 30] [--jobs 10000] [--json]

Jobs are spread over the minutes, or done as fast as they go with --minutes 0. They come in batches;
behind each one the agent is asked as people ask it (status, list, a watch from the beginning,
weights out and in), and sampled. Growth is the slope behind a warm-up of a quarter. At the end the
agent is started anew: no job may be taken up again, and every step be there. Exit code 1 where
anything grows or is lost.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.experiment import samples

from soak.growth import Growth, growth
from soak.sampling import LIMITS, sample
from tfplus.errors import TfplusError
from tfplus.fleet.clients.client import AgentClient
from tfplus.fleet.job_events import follow
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.system import child_process
from tfplus_agent.doctor.patient import probe

BATCH = 20
# A quarter of them fills what the agent keeps: the hundred jobs that ended last.
FEWEST_JOBS = 600
_BIAS = "shared/logits/bias"


@dataclass
class Soaked:
    """What a run came to.

    Attributes:
      seconds: that it took.
      jobs: done at each sample.
      found: samples, name → value of each.
      wrong: what was lost, in words.
    """

    seconds: float = 0.0
    jobs: list[int] = field(default_factory=list)
    found: list[dict[str, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def grown(self) -> dict[str, Growth]:
        """Each quantity, judged."""
        return {
            name: growth(self.jobs, [s[name] for s in self.found], limit)
            for name, limit in LIMITS.items()
        }


def main() -> int:
    """Runs what the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=30, help="to spread the jobs over")
    parser.add_argument("--jobs", type=int, default=10_000, help="how many")
    parser.add_argument("--json", action="store_true", help="for scripts")
    given = parser.parse_args()
    if given.jobs < FEWEST_JOBS:
        parser.error(f"--jobs: expected at least {FEWEST_JOBS}, got {given.jobs}")
    with tempfile.TemporaryDirectory(prefix="tfplus-soak-") as name:
        soaked = run(Path(name), given.jobs, 60 * given.minutes)
    grown = soaked.grown()
    done = f"{soaked.jobs[-1]} jobs in {soaked.seconds:.0f} s"
    if given.json:
        about = {"schema": 1, "jobs": soaked.jobs[-1], "seconds": round(soaked.seconds, 1)}
        found = {n: {**dataclasses.asdict(g), "bounded": g.bounded} for n, g in grown.items()}
        each = [{"jobs": j, **s} for j, s in zip(soaked.jobs, soaked.found, strict=True)]
        print(json.dumps({**about, "wrong": soaked.wrong, "growth": found, "samples": each}))
    else:
        print(f"{done}; behind the first quarter:")
        for quantity, found in grown.items():
            print(_line(quantity, found))
        print("\n".join(soaked.wrong) or "nothing was lost, and nothing taken up again")
    return 1 if soaked.wrong or not all(g.bounded for g in grown.values()) else 0


def run(folder: Path, jobs: int, seconds: float) -> Soaked:
    """Does so many jobs on an agent of its own.

    Args:
      folder: an empty one.
      jobs: how many.
      seconds: to spread them over.
    """
    soaked = Soaked()
    with _Agent(folder) as agent, AgentClient(agent.address) as client:
        client.load(client.upload(probe().read.path))
        started = time.monotonic()
        for done in range(0, jobs, BATCH):
            _batch(client, done, min(BATCH, jobs - done), soaked)
            soaked.jobs.append(min(done + BATCH, jobs))
            soaked.found.append(sample(agent.pid, folder / "state"))
            _say(soaked)
            due = started + seconds * soaked.jobs[-1] / jobs
            time.sleep(max(0.0, due - time.monotonic()))
        soaked.seconds = time.monotonic() - started
        before = client.status()
    with _Agent(folder) as agent, AgentClient(agent.address) as client:
        after, listed = client.status(), client.jobs()
        if after.trained_steps != before.trained_steps:
            soaked.wrong.append(f"{before.trained_steps} steps before, {after.trained_steps} after")
        if after.running_job.id or any(j.state != pb.JobStatus.FINISHED for j in listed):
            soaked.wrong.append(f"a job is taken up again: {after.running_job.id}")
    return soaked


def _batch(client: AgentClient, done: int, count: int, soaked: Soaked) -> None:
    before = client.status().trained_steps
    ids = [client.submit_job(_spec(done + i)).id for i in range(count)]
    steps = 0
    for job in ids:
        *_, last = follow(client, job)
        steps += last.steps_done
        if last.kind != pb.JobEvent.FINISHED:
            soaked.wrong.append(f"job {job}: {last.reason}")
    taken = client.status().trained_steps - before
    if taken != steps:
        soaked.wrong.append(f"jobs {ids[0]} to {ids[-1]} told of {steps} steps, {taken} were taken")
    list(client.watch_job(ids[0]))
    client.jobs()
    client.set_weights({_BIAS: client.weights([_BIAS])[_BIAS]})


def _spec(number: int) -> pb.JobSpec:
    if number % 4 == 3:
        return pb.JobSpec(evaluate=pb.EvaluateJob())
    return pb.JobSpec(train=pb.TrainJob(max_steps=1 + number % 3, seed=number + 1))


class _Agent:
    """An agent in a process of its own, on the state that an earlier one left."""

    def __init__(self, folder: Path) -> None:
        data, eval_data = samples(folder)
        state = str(folder / "state")
        given = ("agent", "--data", str(data), "--eval-data", str(eval_data), "--state-dir", state)
        options = ("--listen", "127.0.0.1:0", "--name", "soak", "--threads", "1", "--json")
        with (folder / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                child_process.command("tfplus_agent", *given, *options),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise TfplusError(f"the agent does not start: {(folder / 'agent.log').read_text()}")
        ready = json.loads(line)
        self.address, self.pid = ready["address"], int(ready["pid"])

    def __enter__(self) -> _Agent:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.terminate()


def _line(name: str, found: Growth) -> str:
    verdict = "" if found.bounded else "  GROWS"
    unit, scale = ("KiB", 1024) if name.endswith("_bytes") else ("", 1)
    numbers = f"{found.median / scale:12,.1f} {unit:3} {found.per_thousand / scale:+10,.2f}"
    bound = f"{found.added / scale:+.1f} of {found.allowed / scale:.1f} allowed"
    return f"  {name:20}{numbers} per 1000 jobs ({bound}){verdict}"


def _say(soaked: Soaked) -> None:
    if len(soaked.jobs) % 10 == 0:
        last: dict[str, Any] = {k: int(v) for k, v in soaked.found[-1].items()}
        print(soaked.jobs[-1], last, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

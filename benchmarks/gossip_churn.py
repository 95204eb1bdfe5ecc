"""Eight agents that are killed, started again and stopped while they learn together, and a liar.

usage: python benchmarks/gossip_churn.py [--rounds N] [--events N] [--seed N] [--json]

Eight agents in processes of their own on loopback learn scikit-learn's digits on a ring whose
members find out by SWIM who is there. Twice, with the same data, seeds and rounds: undisturbed,
and with a plan of disturbances that a seed draws (`churn/events.py`): SIGKILL and another start,
SIGSTOP and SIGCONT, and one SIGKILL for good. In the second run a ninth member answers as a member
does, sends NaN, and says of all others that they are dead (`churn/poisoned.py`).

Prints of both how many finished, their accuracy on held-out digits, and how far their weights are
from each other; of the second also what happened, and what the members told. Exit code 1 where a
survivor did not finish, a contribution was counted twice over all lives of an agent, anything of
the liar was counted, or the survivors are more than a point worse than undisturbed. No time in it
is a measurement.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
SOURCES = [str(ROOT), str(ROOT / "export"), str(ROOT / "device_agent"), str(ROOT / "benchmarks")]
sys.path[:0] = SOURCES

from churn.events import Disturbance, disturbances  # noqa: E402
from churn.findings import gathered, text_of  # noqa: E402
from churn.fleet import COMMAND, Fleet  # noqa: E402
from churn.poisoned import LIAR, PoisonedPeer, also  # noqa: E402

from tfplus.demo import digits  # noqa: E402
from tfplus.fleet.gossip_plans import plan_of  # noqa: E402
from tfplus.fleet.run_options import RunOptions  # noqa: E402
from tfplus.proto.v1 import agent_pb2 as pb  # noqa: E402

NAMES = tuple(f"n{i}" for i in range(8))
# Nobody touches it: its rounds are the clock.
CLOCK = NAMES[0]
PERIOD_S = 0.5
TIMEOUT_S = 5.0
POINTS = 0.01


def exported(folder: Path) -> Path:
    """The demo's model."""
    path = folder / "digits.tflite"
    arguments = ["export", "zoo:digits", "-o", str(path), "--batch-size", "32"]
    arguments += ["--learning-rate", "0.02", "--momentum", "0.9"]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return path


def dealt(folder: Path, seed: int) -> tuple[dict[str, Path], Path]:
    """Digits, dealt evenly: agent → file, and the held-out ones."""
    rng = np.random.default_rng(seed)
    train, held_out = digits.split(digits.load(), digits.HELD_OUT, rng)
    parts = np.array_split(rng.permutation(len(train.y)), len(NAMES))
    paths: dict[str, Path] = {}
    for name, samples in {
        **{n: train.take(p) for n, p in zip(NAMES, parts, strict=True)},
        "held-out": held_out,
    }.items():
        paths[name] = folder / f"{name}.npz"
        np.savez(paths[name], x=samples.x, y=samples.y)
    return paths, paths.pop("held-out")


class Disturber:
    """Carries out what is planned, by the rounds of the clock.

    Args:
      fleet: whose agents.
      plan: in order.
    """

    def __init__(self, fleet: Fleet, plan: list[Disturbance]) -> None:
        self._fleet = fleet
        self._plan = list(plan)
        self._away: list[tuple[int, Disturbance]] = []
        self.done: list[str] = []

    def at(self, round: int, dead: set[str], over: bool = False) -> None:
        """Does what is due.

        Args:
          round: of the clock.
          dead: whom the clock holds for dead: who was killed comes back once it is seen.
          over: all that are away come back now.
        """
        while self._plan and (self._plan[0].round <= round or over):
            self._begin(self._plan.pop(0), round)
        waiting: list[tuple[int, Disturbance]] = []
        for until, one in self._away:
            seen = one.kind == "stop" or one.agent in dead
            if over or (round >= until and seen):
                self._end(one)
            else:
                waiting.append((until, one))
        self._away = waiting

    def _begin(self, one: Disturbance, round: int) -> None:
        if any(other.agent == one.agent for _, other in self._away):
            self.done.append(f"{one.kind} {one.agent}: still away, left out")
            return
        self.done.append(f"{one.kind} {one.agent} in round {round}")
        if one.kind == "stop":
            self._fleet.signal(one.agent, signal.SIGSTOP)
        else:
            self._fleet.kill(one.agent)
        if one.kind != "gone":
            self._away.append((round + one.away_rounds, one))

    def _end(self, one: Disturbance) -> None:
        if one.kind == "stop":
            self._fleet.signal(one.agent, signal.SIGCONT)
        else:
            self._fleet.start(one.agent)


def run(
    folder: Path, model: Path, given: argparse.Namespace, plan: list[Disturbance]
) -> dict[str, Any]:
    """Runs eight agents; with a plan, a liar among them."""
    folder.mkdir()
    data, held_out = dealt(folder, given.seed)
    with contextlib.ExitStack() as stack:
        fleet = stack.enter_context(Fleet(folder, data, held_out))
        for name in NAMES:
            fleet.start(name)
        for name in NAMES:
            fleet.ready(name)
        liar = stack.enter_context(PoisonedPeer(LIAR)) if plan else None
        begin(fleet, model, given, liar)
        disturber = Disturber(fleet, plan)
        watched(fleet, disturber)
        gone = {one.agent for one in plan if one.kind == "gone"}
        found = gathered(fleet, [n for n in NAMES if n not in gone])
        found["happened"] = disturber.done
        if liar is not None:
            found["nan_sent"], found["lies"] = liar.sent, liar.lies
        return found


def begin(fleet: Fleet, model: Path, given: argparse.Namespace, liar: PoisonedPeer | None) -> None:
    """Starts the run on all agents, and lets the liar take part."""
    options = RunOptions(
        run_id="run",
        rounds=given.rounds,
        seed=given.seed,
        round_timeout_s=TIMEOUT_S,
        membership="swim",
        probe_period_s=PERIOD_S,
    )
    for name in NAMES:
        with fleet.client(name) as client:
            client.load(client.upload(model), fresh=True)
    for name in NAMES:
        told = plan_of(name, fleet.addresses, options, lambda *_: ())
        with fleet.client(name) as client:
            client.start_gossip(also(told, liar, NAMES[3]) if liar else told)
    if liar is not None:
        liar.join(also(plan_of(CLOCK, fleet.addresses, options, lambda *_: ()), liar, NAMES[3]))


def watched(fleet: Fleet, disturber: Disturber) -> None:
    """Disturbs the run by the rounds of the clock, to that one's end."""
    with fleet.client(CLOCK) as client:
        while True:
            status = client.status()
            dead = {m.name for m in status.gossip_members if m.state == pb.GossipMember.DEAD}
            disturber.at(status.gossip_round, dead, over=not status.gossip_running)
            if not status.gossip_running:
                return
            time.sleep(0.1)


def main() -> None:
    """Prints what was found; see above."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=120)
    parser.add_argument("--events", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(SOURCES)
    plan = disturbances(NAMES[1:], given.rounds, given.events, given.seed)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        model = exported(folder)
        still = run(folder / "undisturbed", model, given, [])
        churned = run(folder / "churned", model, given, plan)
    worse = still["accuracy"] - churned["accuracy"]
    found = {"undisturbed": still, "churned": churned, "worse_by": worse}
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        print(text_of(found))
    if (
        churned["finished"] < churned["of"]
        or churned["counted_twice"]
        or churned["counted_of_liar"]
        or worse > POINTS
    ):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

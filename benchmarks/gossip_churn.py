"""Eight agents that are disturbed in every way that a network has, and a liar, while they learn.

usage: python benchmarks/gossip_churn.py [--rounds N] [--events N] [--seed N] [--json]

Eight agents, each in a network namespace of its own, learn scikit-learn's digits on a ring whose
members find out by SWIM who is there. Twice, with the same data, seeds and rounds: undisturbed,
and with a plan of disturbances that a seed draws (`churn/events.py`): SIGKILL and another start,
SIGSTOP and SIGCONT, wall clocks a day ahead and a day behind, a partition, 20 % of all packets
between agents lost for a while, and one SIGKILL for good. In the second run a ninth member answers
as a member does, sends NaN, and says of all others that they are dead (`churn/poisoned.py`).

Prints of both how many finished, their accuracy on held-out digits, that of the recomposed model,
and how far their weights are from each other; of the second also what happened, and what the
members told. Exit code 1 where a survivor did not finish, a contribution was counted twice over
all lives of an agent, anything of the liar was counted, the recomposed model is more than a point
worse than undisturbed, or a survivor more than three. No time in it is a measurement.

Takes root on Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
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

from churn.disturber import Disturber  # noqa: E402
from churn.events import Disturbance, disturbances  # noqa: E402
from churn.findings import gathered, text_of  # noqa: E402
from churn.fleet import Fleet  # noqa: E402
from churn.network import OWN, Network, begin_inside  # noqa: E402
from churn.poisoned import LIAR, PoisonedPeer, also  # noqa: E402

from tfplus.demo import digits  # noqa: E402
from tfplus.fleet.gossip_plans import plan_of  # noqa: E402
from tfplus.fleet.run_options import RunOptions  # noqa: E402
from tfplus.proto.v1 import agent_pb2 as pb  # noqa: E402

NAMES = tuple(f"n{i}" for i in range(8))
# Nobody touches it: its rounds are the clock.
CLOCK = NAMES[0]
# So that a round takes as long as it takes members to find out who is there.
EPOCHS = 5
PERIOD_S = 0.5
TIMEOUT_S = 5.0
# Of accuracy: what the recomposed model may be worse than undisturbed, and what a survivor may.
POINTS, POINTS_OF_ONE = 0.01, 0.03
COMMAND = "from tfplus.cli.main import main; main()"


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


def run(
    network: Network,
    folder: Path,
    model: Path,
    given: argparse.Namespace,
    plan: list[Disturbance],
) -> dict[str, Any]:
    """Runs eight agents; with a plan, a liar among them."""
    folder.mkdir()
    data, held_out = dealt(folder, given.seed)
    with contextlib.ExitStack() as stack:
        fleet = stack.enter_context(Fleet(network, folder, data, held_out))
        for name in NAMES:
            fleet.start(name)
        for name in NAMES:
            fleet.ready(name)
        liar = stack.enter_context(PoisonedPeer(LIAR, OWN)) if plan else None
        begin(fleet, model, given, liar)
        disturber = Disturber(fleet, network, plan)
        watched(fleet, disturber)
        gone = {name for one in plan if one.kind == "gone" for name in one.agents}
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
        epochs=EPOCHS,
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
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--events", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    begin_inside()
    os.environ["PYTHONPATH"] = os.pathsep.join(SOURCES)
    plan = disturbances(NAMES[1:], given.rounds, given.events, given.seed)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        model = exported(folder)
        network = Network(NAMES)
        still = run(network, folder / "undisturbed", model, given, [])
        churned = run(network, folder / "churned", model, given, plan)
    worse = still["recomposed"] - churned["recomposed"]
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
        or still["recomposed"] - churned["accuracy_least"] > POINTS_OF_ONE
    ):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

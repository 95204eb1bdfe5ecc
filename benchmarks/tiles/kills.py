"""Devices of tiles that are killed (SIGKILL) at seeded points of a step, and who goes on.

usage: python benchmarks/tiles/kills.py [--kills N] [--seconds S] [--seed N] [--json]

A small CNN trains on four processes of this machine, each with its runtime and port. Three of them
die in the training, one after the other, each at a seeded point of its step: in front of a pass of
a group, of a message, of the update, or behind it. At every death the weights of those that are
left are held against those of a training on one device without tiles that nobody disturbed, behind
the same step: a step must have happened at all of them or at none. The weights and losses at the
end of the training are, too. It is repeated until there were so many kills, or S seconds are over.

Prints how many there were of each kind, how long training stood still, and the largest difference.
Exit code 1 where a step was lost, half applied, or applied twice.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "export"), str(ROOT / "benchmarks")]

from tfplus.fleet.tiles import training as tile_training  # noqa: E402
from tfplus.fleet.tiles.training import Lost, Samples  # noqa: E402
from tfplus.tensors.slices import Tensor, Tensors  # noqa: E402
from tfplus.tiles.grid import Grid, Tiling  # noqa: E402
from tfplus.tiles.step.files import TileFiles  # noqa: E402
from tiles.mortal_devices import device, report  # noqa: E402

DEVICES, BATCH, STEPS, SIDE, CLASSES = 4, 8, 7, 16, 4
GROUPS = ((0, 2), (2, 4))
# Between two deaths a plan has a whole step, whose points say how many there are.
DIES_BEHIND = (1, 3, 5)
# Of the largest number of each tensor; a step moves weights by far more, which is printed.
TOLERANCE = 1e-4
NEVER = 10**6


@dataclass(frozen=True)
class Kill:
    """A device that died.

    Attributes:
      point: of the step.
      applied: whether the step was applied at all others.
      left: devices that went on.
      still_s: from its death until the next step was applied.
      difference: of the weights of who is left from those of the undisturbed training.
    """

    point: str
    applied: bool
    left: int
    still_s: float
    difference: float


@dataclass
class Found:
    """What came of all trainings."""

    kills: list[Kill] = field(default_factory=list[Kill])
    wrong: list[str] = field(default_factory=list[str])
    trainings: int = 0
    final_difference: float = 0.0


@dataclass(frozen=True)
class Task:
    """What is trained, and what should come of it.

    Attributes:
      files: by number of devices.
      samples: to train on.
      states: every variable of the undisturbed training, behind 0, 1, … steps.
      losses: of its steps.
    """

    files: Mapping[int, TileFiles]
    samples: Samples
    states: Sequence[Tensors]
    losses: Sequence[float]


def difference(found: Tensors, wanted: Tensors) -> float:
    """The largest difference of a number, relative to the largest of its tensor."""
    return max(
        float(np.abs(np.subtract(found[n], v)).max() / max(np.abs(v).max(), 1e-6))
        for n, v in wanted.items()
    )


def prepare(seed: int) -> tuple[Task, float]:
    """Exports, trains undisturbed on one device; and how far that is from Keras."""
    from tfplus_export.optimizers import Sgd
    from tfplus_export.sources import source
    from tfplus_export.tiles import comparison, trained

    loaded = source.load(
        "zoo:small-cnn", input_shape=(SIDE, SIDE, 1), classes=tuple(range(CLASSES)), seed=seed
    )
    training = trained.prepare(loaded, "small-cnn", len(GROUPS) * 2, Sgd(0.05, 0.9))
    rng = np.random.default_rng(seed)
    count = BATCH * STEPS
    x = rng.random((count, SIDE, SIDE, 1), np.float32)
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    samples = Samples(lambda rows: x[rows], labels, "y")
    files = {
        n: training.files(Tiling(training.tiled.chain, Grid.even(n, 1), GROUPS), BATCH, _tell)
        for n in range(1, DEVICES + 1)
    }
    states: list[dict[str, Tensor]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        device(Path(folder), 0, NEVER, 0.0) as client,
    ):
        outcome = tile_training.train(
            [client], files[1], samples, epochs=1, seed=seed, replan=lambda n: files[n],
            on_step=lambda step: states.append(client.state(client.run_id)),
            on_loss=lambda lost: None,
        )  # fmt: skip
    compared = comparison.compare(training, samples, outcome, epochs=1, seed=seed, files=files[1])
    losses = [step.metrics["loss"] for step in outcome.steps]
    task = Task(files, samples, [dict(files[1].values), *states], losses)
    return task, compared["max_relative_difference"]


def disturbed(task: Task, seed: int, number: int, found: Found) -> None:
    """One training in which all devices but one die."""
    rng = np.random.default_rng([seed, number])
    doomed = [int(i) for i in rng.permutation(DEVICES)[: len(DIES_BEHIND)]]
    fates = dict(zip(doomed, zip(DIES_BEHIND, rng.random(len(doomed)), strict=True), strict=True))
    open_kills: list[tuple[Lost, float]] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clients = [
            stack.enter_context(device(folder, i, *fates.get(i, (NEVER, 0.0))))
            for i in range(DEVICES)
        ]
        gone: set[str] = set()

        def wrong(text: str) -> None:
            found.wrong.append(f"training {number}: {text}")

        def lost(what: Lost) -> None:
            gone.update(what.addresses)
            left = [c.state(c.run_id) for c in clients if c.address not in gone]
            behind = what.step if what.applied else what.step - 1
            worst = max(difference(state, task.states[behind]) for state in left)
            if worst > TOLERANCE:
                wrong(f"weights behind step {behind} differ by {worst:.1e}")
            if any(not np.array_equal(s[n], v) for s in left[1:] for n, v in left[0].items()):
                wrong(f"devices differ behind step {behind}")
            open_kills.append((what, worst))

        def stepped(step: tile_training.Step) -> None:
            now = time.monotonic()
            for what, worst in open_kills:
                for i in [i for i, c in enumerate(clients) if c.address in what.addresses]:
                    death = json.loads(report(folder, i).read_text())
                    point = str(death["point"])
                    if what.applied != point.startswith("update"):
                        wrong(f"died at '{point}', applied elsewhere: {what.applied}")
                    kill = Kill(point, what.applied, what.left, now - death["at_s"], worst)
                    found.kills.append(kill)
            open_kills.clear()
            if abs(step.metrics["loss"] / task.losses[step.number - 1] - 1) > TOLERANCE:
                wrong(f"loss of step {step.number} is {step.metrics['loss']}")

        outcome = tile_training.train(
            clients, task.files[DEVICES], task.samples, epochs=1, seed=seed,
            replan=lambda n: task.files[n], on_step=stepped, on_loss=lost,
        )  # fmt: skip
    if len(outcome.steps) != STEPS or len(outcome.lost) != len(doomed):
        wrong(f"{len(outcome.steps)} steps and {len(outcome.lost)} losses")
    worst = difference(outcome.state, task.states[-1])
    if worst > TOLERANCE:
        wrong(f"weights at the end differ by {worst:.1e}")
    found.final_difference = max(found.final_difference, worst)
    found.trainings += 1


def measure(kills: int, seconds: float, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Trains until there were so many kills, or the time is over."""
    task, keras = prepare(seed)
    found, began = Found(), time.monotonic()
    while len(found.kills) < kills and time.monotonic() - began < seconds:
        disturbed(task, seed, found.trainings, found)
        tell(f"{len(found.kills)} kills after {time.monotonic() - began:.0f} s")
    kinds: collections.Counter[str] = collections.Counter(k.point for k in found.kills)
    still = {
        left: [k.still_s for k in found.kills if k.left == left]
        for left in sorted({k.left for k in found.kills}, reverse=True)
    }
    moves = [difference(a, b) for a, b in zip(task.states, task.states[1:], strict=False)]
    return {
        "ok": not found.wrong,
        "wrong": found.wrong,
        "kills": len(found.kills),
        "trainings": found.trainings,
        "applied": sum(k.applied for k in found.kills),
        "points": dict(sorted(kinds.items())),
        "still_s": {
            str(left): {"median": statistics.median(s), "largest": max(s)}
            for left, s in still.items()
        },
        "difference": max(k.difference for k in found.kills),
        "final_difference": found.final_difference,
        "tolerance": TOLERANCE,
        "smallest_step": min(moves),
        "keras_difference": keras,
        "seconds": time.monotonic() - began,
    }


def show(found: Mapping[str, Any]) -> None:
    """What came, for people."""
    print(
        f"{found['kills']} kills in {found['trainings']} trainings of {DEVICES} devices, "
        f"{found['seconds']:.0f} s; the step was applied at all others in {found['applied']}, "
        "else computed anew"
    )
    print("  died in front of: " + ", ".join(f"{n} {c}" for n, c in found["points"].items()))
    for left, still in found["still_s"].items():
        print(
            f"  from death to the next applied step, {left} left: median "
            f"{still['median']:.2f} s, largest {still['largest']:.2f} s"
        )
    print(
        f"  weights of who is left differ from the undisturbed training's by "
        f"{found['difference']:.1e} at most, at the end by {found['final_difference']:.1e}; "
        f"a step moves them by {found['smallest_step']:.1e} at least"
    )
    print(f"  the undisturbed training differs from Keras' by {found['keras_difference']:.1e}")
    for text in found["wrong"]:
        print(f"  WRONG: {text}")
    print("  no step was lost, half applied or applied twice" if found["ok"] else "  NOT proved")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Runs it and says what came."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=480.0, help="After which none begins.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.kills < 1 or options.seconds <= 0:
        parser.error("expected --kills of at least 1 and --seconds above 0")
    found = measure(options.kills, options.seconds, options.seed, _tell)
    if options.json:
        print(json.dumps(found))
    else:
        show(found)
    sys.exit(0 if found["ok"] else 1)


if __name__ == "__main__":
    main()

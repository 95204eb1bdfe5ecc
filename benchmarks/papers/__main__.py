"""Experiments of Chen & Qin and of CAD, from a trained start, by LiteRT and the gossip core.

usage: scripts/papers [figure3 | figure4 | topology | figure5 | cad | federated | kept |
                       baselines] ...
                      [--data FILE.npz] [--seeds 3] [--rounds 15] [--epochs 1] [--limit SAMPLES]
                      [--minutes 5] [-o FOLDER]

All of them on scikit-learn's digits where nothing else is said. Writes results.json (after every
seed), results.md and report.html. Devices are exported files that train under LiteRT in this
process; only the start is trained by Keras. Nothing is sent: neighbours are simulated without
faults. What a seed begins with and what each system came to are kept in the folder: the same
command goes on where it was ended. With --minutes it begins nothing new after that time, and exits
with 75 where something is left to do.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from papers import data, report
from papers.device import Files
from papers.experiments import EXPERIMENTS
from papers.prepared import prepare
from papers.results import OutOfTimeError, Results, digest
from papers.systems import DECOUPLED, SYSTEMS, Systems
from papers.tuning import tuned

# What the start depends on, and what all systems depend on besides; EX_TEMPFAIL of sysexits.h.
_START = ("data", "limit", "desk", "start_epochs", "tuning_epochs", "share")
_LEARNING = ("epochs", "batch_size")
# Of what they are: counted up where the same options lead to others.
_FORM = 2
_TEMPORARY_FAILURE = 75


def main() -> None:
    """Runs the experiments that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", default=list(EXPERIMENTS))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--kept-rounds", type=int, default=60, help="where features are kept")
    parser.add_argument("--epochs", type=int, default=1, help="of local training a round")
    parser.add_argument("--limit", type=int, help="of training samples")
    parser.add_argument("--desk", type=float, default=0.4, help="samples for the start, of 1")
    parser.add_argument("--start-epochs", type=int, default=30)
    parser.add_argument("--tuning-epochs", type=int, default=15)
    parser.add_argument("--share", type=float, help="of filters a class, shared between classes")
    parser.add_argument("--learning-rate", type=float, default=0.005)
    parser.add_argument("--branch-rate", type=float, default=0.001, help="of decoupled models")
    parser.add_argument("--tuning-seed", type=int, help="not reported: chooses of --rates")
    parser.add_argument("--rates", type=float, nargs="+", default=[], help="tried by each system")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("-o", "--output", type=Path, default=Path("papers"))
    options = parser.parse_args()
    if unknown := sorted(set(options.experiments) - set(EXPERIMENTS)):
        parser.error(f"{unknown[0]}: expected some of {', '.join(EXPERIMENTS)}")
    if (options.tuning_seed is None) != (not options.rates):
        parser.error("--tuning-seed and --rates: give both or none")
    if options.tuning_seed in range(options.first_seed, options.first_seed + options.seeds):
        parser.error("--tuning-seed: expected one that is not reported")
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        run(options, Files(options.output / "files", options.batch_size))
    except OutOfTimeError:
        sys.exit(_TEMPORARY_FAILURE)


def run(options: argparse.Namespace, files: Files) -> None:
    """Runs seed by seed, and writes after each.

    Raises:
      OutOfTimeError: something is left to do.
    """
    began = time.monotonic()

    def said(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", file=sys.stderr, flush=True)

    started, learned = ({n: getattr(options, n) for n in names} for names in (_START, _LEARNING))
    setting = started | learned | {"form": _FORM}
    results = Results(options.output / "curves", setting, 60 * options.minutes)
    starts_of = options.output / f"starts-{digest(started | {'form': _FORM})}"

    def systems(seed: int, rates: Mapping[str, float]) -> Systems:
        task = data.load(options.data, seed, options.limit, options.desk)
        said(f"seed {seed}: the start, of {len(task.desk)} samples")
        start = prepare(
            task,
            seed,
            options.start_epochs,
            options.tuning_epochs,
            options.share,
            starts_of / str(seed),
        )
        return Systems(
            start, files, options.rounds, options.kept_rounds, options.epochs, rates, results, said
        )

    rates = {
        name: options.branch_rate if name in DECOUPLED else options.learning_rate
        for name in SYSTEMS
    }
    if options.rates:
        trial = systems(options.tuning_seed, rates)
        rates |= tuned(
            lambda rate: replace(trial, rates=dict.fromkeys(SYSTEMS, rate), learned={}, trial=True),
            options.experiments,
            options.rates,
        )
        said(f"rates, by seed {options.tuning_seed}: {rates}")
    found: dict[str, list[dict[str, Any]]] = {key: [] for key in options.experiments}
    starts: list[dict[str, Any]] = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        of_seed = systems(seed, rates)
        task = of_seed.start.task
        starts.append(asdict(of_seed.start.plan.accuracy))
        for key in options.experiments:
            curves = EXPERIMENTS[key].curves(of_seed)
            found[key].append({name: asdict(curve) for name, curve in curves.items()})
        told = ", ".join(f"{name} {rates[name]:g}" for name in of_seed.learned)
        write(
            options.output,
            {
                "data": task.name,
                "setting": (
                    f"{len(starts)} seeds, {options.rounds} rounds ({options.kept_rounds} where "
                    f"features are kept) of {options.epochs} local epochs, "
                    f"SGD ({told}) with momentum 0.9, batches of {options.batch_size}; "
                    f"{len(task.desk)} samples for the start, {len(task.train)} dealt to devices, "
                    f"{len(task.test)} held out. "
                    "Devices train under LiteRT, neighbours are simulated; Keras trained the start."
                ),
                "command": sys.argv[1:],
                "starts": starts,
                "experiments": found,
            },
        )


def write(folder: Path, result: dict[str, Any]) -> None:
    """The results as JSON, as a document and as a page."""
    (folder / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "results.md").write_text(report.markdown(result))
    (folder / "report.html").write_text(report.html(result))
    print(report.markdown(result))


if __name__ == "__main__":
    main()

"""Faults on purpose, drawn from a seed, against a real agent on loopback.

usage: scripts/chaos [--faults 100] [--seed 0] [--kinds KIND,...] [--model FILE] [--no-mount]
                     [--json]

One job a fault: it must come to its end with the weights of an undisturbed training, bit by bit,
and whatever the agent acknowledged must still be so. Prints how long the job took to go on, by kind
of fault. Exit code 1 where anything was lost or wrong.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from chaos.experiment import STEPS, Outcome, Recovery, run
from chaos.schedule import KINDS, schedule
from tfplus.model_file import artifact
from tfplus_agent.doctor.patient import probe


def main() -> int:
    """Runs what the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--faults", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="draws them")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--model", type=Path, help="an exported file for 8 × 8 digits")
    parser.add_argument("--no-mount", action="store_true", help="fill no disk of its own")
    parser.add_argument("--json", action="store_true", help="for scripts")
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"--kinds: expected some of {', '.join(KINDS)}, got {', '.join(unknown)}")
    model = artifact.read(given.model) if given.model else probe().read
    faults = schedule(given.seed, given.faults, STEPS, kinds)
    # As Ctrl-C does, so that what was mounted and started does not stay.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tfplus-chaos-") as name:
        outcome = run(faults, model, Path(name), on_fault=_say, may_mount=not given.no_mount)
    about = summary(outcome, given.seed, len(faults), time.monotonic() - started)
    print(json.dumps(about, indent=2) if given.json else text(about))
    return 0 if not about["violations"] and about["faults"] == len(faults) else 1


def summary(outcome: Outcome, seed: int, planned: int, seconds: float) -> dict[str, Any]:
    """What a run came to, for JSON."""
    found = [r.recovered_s for r in outcome.recoveries]
    return {
        "schema": 1,
        "seed": seed,
        "planned": planned,
        "faults": len(outcome.recoveries),
        "seconds": round(seconds, 1),
        "how": outcome.how,
        "comparisons": outcome.checked,
        "violations": outcome.violations,
        "recovery_s": _times(found),
        "kinds": {
            kind: _times([r.recovered_s for r in outcome.recoveries if r.fault.kind == kind])
            for kind in KINDS
            if any(r.fault.kind == kind for r in outcome.recoveries)
        },
        "each": [dataclasses.asdict(r) for r in outcome.recoveries],
    }


def text(about: dict[str, Any]) -> str:
    """The same for people."""
    rows = [("fault", "times", "median s", "max s"), *_rows(about)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    means = ", ".join(f"{what} by {how}" for what, how in about["how"].items())
    count = f"{about['faults']} of {about['planned']} faults (seed {about['seed']}; {means})"
    lines += ["", f"{count} in {about['seconds']:g} s; {about['comparisons']} comparisons"]
    wrong = about["violations"]
    return "\n".join([*lines, *(f"VIOLATION {v}" for v in wrong), f"{len(wrong)} violations"])


def _rows(about: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    def row(name: str, found: dict[str, Any]) -> tuple[str, str, str, str]:
        numbers = (found["median"], found["max"])
        return (name, str(found["times"]), *("" if n is None else f"{n:.2f}" for n in numbers))  # type: ignore[return-value]

    return [*(row(k, v) for k, v in about["kinds"].items()), row("all", about["recovery_s"])]


def _times(found: list[float | None]) -> dict[str, Any]:
    known = [value for value in found if value is not None]
    return {
        "times": len(found),
        "recovered": len(known),
        "median": round(statistics.median(known), 3) if known else None,
        "max": round(max(known), 3) if known else None,
    }


def _say(recovery: Recovery) -> None:
    fault = recovery.fault
    after = "" if recovery.recovered_s is None else f", on again after {recovery.recovered_s:.2f} s"
    where = f"struck at step {recovery.struck_at_step}{after}"
    print(f"{fault.number} {fault.kind}: {where}; {recovery.ended}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

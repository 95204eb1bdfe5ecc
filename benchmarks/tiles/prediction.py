"""How near a step comes to what was predicted, on processes of this machine.

usage: python benchmarks/tiles/prediction.py [--model zoo:large-digits] [--batch-size 32]
           [--devices 1 2 3] [--steps 20] [--json] [--write]

For each number of devices processes are started anew and planned for as `tfplus tile plan
--measure` does: a few plans are run for some steps each, speeds and links are fitted, and the plan
is made with them. Then the best plan, and the fastest one that no number was fitted to, train for
--steps steps. Printed are predicted and measured seconds of a step, from the first pass to the sum
of all gradients, their ratio, and whether it is within 20 %.

The processes share this machine's cores: a device has one thread, so that of more devices than
cores some wait for others, which no plan knows of. Such rows are marked, and count for nothing.
Whatever else runs makes the numbers worthless. Exit code 1 where a row that counts is not within
20 %.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "export"), str(ROOT / "benchmarks")]

from support.documents import insert  # noqa: E402

from tfplus.system import cores  # noqa: E402
from tfplus.tiles.grid import Tiling  # noqa: E402
from tfplus.tiles.planning import cost, written  # noqa: E402
from tfplus.tiles.planning.cluster import Cluster  # noqa: E402
from tfplus.tiles.planning.job import Job  # noqa: E402

PAGE = ROOT / "docs" / "tiles.md"
NAME = "tiles/prediction"
WITHIN = 0.2


@dataclass(frozen=True)
class Row:
    """A plan that trained.

    Attributes:
      devices: processes.
      plan: its grid and groups.
      fitted: whether speeds were found by runs of it, among others.
      counts: whether each device had a core.
      predicted_s: seconds of a step.
      measured_s: of the device that took longest, median over steps.
      parts: predicted and measured seconds of computing, halos and sums.
      ratio: measured by predicted.
      within: whether it is within 20 %.
    """

    devices: int
    plan: str
    fitted: bool
    counts: bool
    predicted_s: float
    measured_s: float
    parts: dict[str, tuple[float, float]]
    ratio: float
    within: bool


def held_against(
    training: Any, devices: int, job: Job, steps: int, hosts: Sequence[str] | None = None
) -> list[Row]:
    """Plans for so many processes, at loopback addresses that may be given, and trains."""
    from tfplus.fleet.clients.tiles_client import TilesClient
    from tfplus.fleet.local_devices import LocalDevices
    from tfplus.fleet.tiles import measuring as tile_measuring
    from tfplus_export.commands.tiles import measuring
    from tfplus_export.commands.tiles.options import Wanted

    found: list[Row] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        local = stack.enter_context(LocalDevices(devices, None, folder, hosts))
        clients = [stack.enter_context(TilesClient(d.address)) for d in local.devices]
        wanted = Wanted(devices, None, None, Cluster())
        known = measuring.measure(clients, training, wanted, job, _tell)
        fitted = [row.measured.tiling for row in known.rows if row.fitted]
        known_groups = {tiling.groups for tiling in fitted}
        others = [c.tiling for c in known.choice.considered if c.tiling.groups not in known_groups]
        best = known.choice.best.tiling
        for tiling in dict.fromkeys([best, *others[:1]]):
            _tell(f"{devices} devices, {_named(tiling)}: {steps} steps")
            files = known.files if tiling == best else training.files(tiling, job.batch, _tell)
            had = tile_measuring.steps(clients, files, job, steps)
            told = cost.of_step(tiling, job, known.cluster)
            ratio = had.step_s / told.step_s
            parts = {
                "compute": (told.compute_s, had.compute_s),
                "halo": (told.halo_s, had.halo_s),
                "reduce": (told.reduce_s, had.reduce_s),
            }
            found.append(
                Row(devices, _named(tiling), tiling in fitted, devices <= cores.usable(),
                    told.step_s, had.step_s, parts, ratio, abs(ratio - 1) <= WITHIN)
            )  # fmt: skip
    return found


def table(rows: Sequence[Row], model: str, batch: int, steps: int) -> str:
    """For people, and for the document."""
    lines = [
        f"{model}, batch {batch}, {steps} steps, medians; {cores.usable()} cores. Waiting for a "
        "slower device counts as waiting for halos where it is measured, and as computing where it "
        "is predicted.\n",
        "| devices | plan | fitted to it | step, ms: predicted | measured | ratio | within 20 % | "
        "computing, ms | halos, ms | sums, ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        parts = " | ".join(f"{1e3 * a:.1f} / {1e3 * b:.1f}" for a, b in row.parts.values())
        judged = ("yes" if row.within else "no") if row.counts else "more devices than cores"
        lines.append(
            f"| {row.devices} | {row.plan} | {'yes' if row.fitted else 'no'} | "
            f"{1e3 * row.predicted_s:.1f} | {1e3 * row.measured_s:.1f} | {row.ratio:.2f} | "
            f"{judged} | {parts} |"
        )
    return "\n".join(lines)


def _named(tiling: Tiling) -> str:
    return f"{tiling.grid.cut}, {written.shown(tiling.groups)}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measures, and says what came."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="zoo:large-digits")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--devices", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="Put the table into docs/tiles.md.")
    options = parser.parse_args()
    if min(options.batch_size, options.steps, *options.devices) < 1 or max(options.devices) > 64:
        parser.error("expected --batch-size, --steps and --devices of at least 1, and 64 devices "
                     "at most")  # fmt: skip
    from tfplus_export.optimizers import Sgd
    from tfplus_export.sources import source
    from tfplus_export.tiles import trained

    loaded = source.load(
        options.model, input_shape=None, classes=None, seed=0, replace_optimizer=True
    )
    training = trained.prepare(loaded, options.model, None, Sgd(0.01))
    job = Job(options.batch_size)
    rows = [
        row for n in options.devices for row in held_against(training, n, job, options.steps)
    ]  # fmt: skip
    text = table(rows, options.model, options.batch_size, options.steps)
    if options.write:
        PAGE.write_text(insert(PAGE.read_text(), text, NAME))
    print(json.dumps([asdict(row) for row in rows]) if options.json else text)
    sys.exit(0 if all(row.within for row in rows if row.counts) else 1)


if __name__ == "__main__":
    main()

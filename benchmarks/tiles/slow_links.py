"""Predicted steps beside measured ones over links of 100 Mbit/s and 1 Gbit/s.

usage: python benchmarks/tiles/slow_links.py [--model zoo:large-digits] [--batch-size 32]
           [--devices 2] [--mbits 100 1000] [--steps 20] [--json] [--write]

As `prediction.py`, in a network namespace of its own, whose loopback lets so many bits a second
through to each device (token buckets of tc); devices are processes of this machine. It takes root
and iproute2, and says so and ends with exit code 0 where it lacks them. Exit code 1 where a plan
is not within 20 %.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "export"), str(ROOT / "benchmarks")]

from support.documents import insert  # noqa: E402

from tfplus.system import cores  # noqa: E402
from tfplus.tiles.planning.job import Job  # noqa: E402
from tiles import shaped  # noqa: E402
from tiles.prediction import PAGE, Row, held_against  # noqa: E402

NAME = "tiles/slow_links"
_HEAD = (
    "| link, Mbit/s | devices | plan | fitted to it | step, ms: predicted | measured | ratio | "
    "within 20 % | computing, ms | halos, ms | sums, ms |"
)


def table(rows: list[tuple[int, Row]], model: str, batch: int, steps: int) -> str:
    """For people, and for the document."""
    lines = [
        f"{model}, batch {batch}, {steps} steps, medians; processes of {cores.usable()} cores, "
        "each behind a token bucket of the link's rate.\n",
        _HEAD,
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for mbits, row in rows:
        parts = " | ".join(f"{1e3 * a:.1f} / {1e3 * b:.1f}" for a, b in row.parts.values())
        lines.append(
            f"| {mbits} | {row.devices} | {row.plan} | {'yes' if row.fitted else 'no'} | "
            f"{1e3 * row.predicted_s:.1f} | {1e3 * row.measured_s:.1f} | {row.ratio:.2f} | "
            f"{'yes' if row.within else 'no'} | {parts} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, and says what came."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="zoo:large-digits")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--mbits", nargs="+", type=int, default=[100, 1000])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="Put the table into docs/tiles.md.")
    options = parser.parse_args()
    least = min(options.batch_size, options.steps, *options.mbits)
    if least < 1 or not 2 <= options.devices <= 64:
        parser.error("expected --batch-size, --steps, --mbits of at least 1, and 2 to 64 devices")
    refused = shaped.refusal()
    if refused:
        print(f"skipped: {refused}", file=sys.stderr)
        return
    from tfplus_export.optimizers import Sgd
    from tfplus_export.sources import source
    from tfplus_export.tiles import trained

    loaded = source.load(
        options.model, input_shape=None, classes=None, seed=0, replace_optimizer=True
    )
    training = trained.prepare(loaded, options.model, None, Sgd(0.01))
    hosts, rows = shaped.addresses(options.devices), list[tuple[int, Row]]()
    for mbits in options.mbits:
        shaped.shape(hosts, mbits * 1_000_000)
        job = Job(options.batch_size)
        found = held_against(training, options.devices, job, options.steps, hosts)
        rows.extend((mbits, row) for row in found)
    text = table(rows, options.model, options.batch_size, options.steps)
    if options.write:
        PAGE.write_text(insert(PAGE.read_text(), text, NAME))
    plain = [{"mbits": mbits, **asdict(row)} for mbits, row in rows]
    print(json.dumps(plain) if options.json else text)
    sys.exit(0 if all(row.within for _, row in rows) else 1)


if __name__ == "__main__":
    main()

"""The paper's setting: the first 16 layers of YOLOv2 on 1 to 6 devices, planned and measured.

usage: python benchmarks/tiles/yolov2.py [--side 160] [--batch-size 16] [--devices 6]
           [--normalization batch frozen] [--measure 1 2 4 6] [--json] [--write]

Rama, Threadgill and Gerstlauer (arXiv 2409.09083) report of two to six Raspberry Pi 3 of four cores
each: steps 2 to 15 times as fast as on a single core, up to 8 times less memory a device, and up to
1.5 times by grouping. Here

- the planner says what devices would take and how long steps would last, for devices of one core
  and of four and links of 100 Mbit/s and 1 Gbit/s. **These are predictions of its model**;
- `--measure` trains by the plan of least memory for two steps, each device a process of this
  machine, and tells the largest resident set of any, beside the plan's estimate, and beside a
  process that trains the whole network by the step that `tfplus export` writes. Times of it would
  mean nothing: the processes share this machine's cores.

`--write` puts the tables into docs/tiles.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "export"), str(ROOT / "benchmarks")]

from support.documents import insert  # noqa: E402

from tfplus.tiles.planning import cost, written  # noqa: E402
from tfplus.tiles.planning.choice import Candidate  # noqa: E402
from tfplus.tiles.planning.cluster import Cluster  # noqa: E402
from tfplus.tiles.planning.job import Job  # noqa: E402
from tiles import darknet, predicted  # noqa: E402
from tiles.darknet import Normalization  # noqa: E402

PAGE = ROOT / "docs" / "tiles.md"
NAME = "tiles/yolov2"
SAID = {"batch": "over the batch", "frozen": "frozen", "none": "none"}


def planned(side: int, kind: Normalization, devices: range, job: Job) -> dict[str, Any]:
    """Bytes without tiles; the smallest plans with passes freed and not; the fastest ones."""
    from tfplus_export.tiles import chain as chains

    chain = chains.read(darknet.model(side, kind), "yolov2").chain
    least: list[tuple[Candidate, Candidate]] = []
    for count in devices:
        _tell(f"planning the least memory of {count} devices")
        freed = predicted.smallest(chain, count, job)
        least.append((freed, predicted.smallest(chain, count, job, free=False)))
    return {
        "untiled_bytes": predicted.alone(chain, job),
        "untiled_bytes_of_no_sample": predicted.alone(chain, Job(0)),
        "least": [plain(freed) for freed, _ in least],
        "least_not_freed": [plain(other) for _, other in least],
        "fastest": [
            {
                "profile": row.profile,
                **plain(row.best),
                "against_core": row.against_core,
                "against_apart": row.against_apart,
                "against_fused": row.against_fused,
            }
            for row in predicted.fastest(chain, devices, job, _tell)
        ],
    }


def measured(
    side: int, kind: Normalization, devices: Sequence[int], job: Job
) -> dict[str, Any]:  # fmt: skip
    """Peaks of processes that train, by number of devices; 0 is the network without tiles."""
    import keras

    from tfplus_export.optimizers import Sgd
    from tfplus_export.sources import source
    from tfplus_export.tiles import trained
    from tiles import peaks

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "yolov2.keras")
        keras.utils.set_random_seed(0)
        darknet.model(side, kind).save(path)
        loaded = source.load(path, input_shape=None, classes=None, seed=0)
    training = trained.prepare(loaded, "yolov2", None, Sgd(0.01))
    found: list[dict[str, Any]] = []
    for count in devices:
        plan = predicted.smallest(training.tiled.chain, count, job)
        _tell(f"{count} devices, groups {written.shown(plan.tiling.groups)}")
        took = peaks.of_tiles(training, plan.tiling, job.batch, _tell)
        found.append(
            {
                **plain(plan),
                "beyond_idle_bytes": took.beyond_idle_bytes,
                "resident_bytes": took.resident_bytes,
                "sent_bytes_measured": took.sent_bytes,
                "losses": took.losses,
            }
        )
    _tell("the network without tiles")
    whole = peaks.untiled(loaded, job.batch, _tell)
    return {"untiled_resident_bytes": whole, "devices": found}


def plain(candidate: Candidate) -> dict[str, Any]:
    """A plan for a program."""
    tiling, taken = candidate.tiling, candidate.cost
    return {
        "devices": tiling.grid.tiles,
        "grid": tiling.grid.shown,
        "groups": written.shown(tiling.groups),
        "activations": "keep" if tiling.keep else "recompute",
        "memory_bytes": [d.memory_bytes for d in taken.devices],
        "memory_bytes_of_no_sample": cost.of_step(tiling, Job(0), Cluster()).memory_bytes,
        "sent_bytes": sum(d.sent_bytes for d in taken.devices),
        "redundant": predicted.redundant(candidate),
        "predicted_step_s": taken.step_s,
        "predicted_compute_s": taken.compute_s,
        "predicted_halo_s": taken.halo_s,
        "predicted_reduce_s": taken.reduce_s,
    }


def memory_table(found: Mapping[Normalization, Mapping[str, Any]], title: str) -> str:
    """The plans of least memory."""
    lines = [
        f"{title} Plans of least memory, as estimated, with `--arenas free`; beside it the least "
        "with `--arenas keep`:\n",
        "| normalization | devices | grid | groups | MB a device | less than one device | of those "
        "that grow with the batch | arenas kept, MB | sent a step, MB | computed twice |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, each in found.items():
        one, fixed = each["untiled_bytes"], each["untiled_bytes_of_no_sample"]
        lines.append(
            f"| {SAID[kind]} | 1 | without tiles | – | {one / 1e6:.0f} | 1.0 | 1.0 | – | 0 | 0 % |"
        )
        for plan, other in zip(each["least"], each["least_not_freed"], strict=True):
            most, kept = (max(x["memory_bytes"]) for x in (plan, other))
            grows = (one - fixed) / (most - plan["memory_bytes_of_no_sample"])
            lines.append(
                f"| {SAID[kind]} | {plan['devices']} | {plan['grid']} | "
                f"{len(plan['groups'].split())} | {most / 1e6:.0f} | {one / most:.1f} | "
                f"{grows:.1f} | {kept / 1e6:.0f} | "
                f"{plan['sent_bytes'] / 1e6:.0f} | {plan['redundant']:.0%} |"
            )
    return "\n".join(lines)


def step_table(found: Mapping[Normalization, Mapping[str, Any]]) -> str:
    """The fastest plans."""
    lines = [
        "**Predicted by the planner's model, not measured.** The fastest plans; *a core* is taken "
        f"to do {predicted.CORE_MACS_PER_S / 1e9:g} GMAC/s, a message to take "
        f"{1e3 * predicted.MESSAGE_S:g} ms beside its bytes:\n",
        "| a device has | normalization | devices | grid | groups | activations | MB a device | "
        "step, s | times a single core | times a group a layer | times fewest groups |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    profiles = predicted.PROFILES
    lines.extend(
        f"| {profile} | {SAID[kind]} | {row['devices']} | {row['grid']} | "
        f"{len(row['groups'].split())} | {row['activations']} | "
        f"{max(row['memory_bytes']) / 1e6:.0f} | {row['predicted_step_s']:.2f} | "
        f"{row['against_core']:.1f} | {row['against_apart']:.2f} | {row['against_fused']:.2f} |"
        for profile in profiles
        for kind, each in found.items()
        for row in each["fastest"]
        if row["profile"] == profile and row["devices"] > 1
    )
    return "\n".join(lines)


def peak_table(found: Mapping[Normalization, Mapping[str, Any]], title: str) -> str:
    """What processes took."""
    lines = [
        f"{title} Largest resident set of any device's process in two steps by the plan of least "
        "memory, beyond what it had idle, beside the estimate; and with Python and the runtime, "
        "beside a process that trains the whole network by the step that `tfplus export` writes:\n",
        "| normalization | devices | grid | groups | estimated, MB | measured, MB | measured / "
        "estimated | whole process, MB | less than one process without tiles |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, each in found.items():
        one = each["measured"]["untiled_resident_bytes"]
        lines.append(
            f"| {SAID[kind]} | 1 | without tiles | – | – | – | – | {one / 1e6:.0f} | 1.0 |"
        )
        for plan in each["measured"]["devices"]:
            told, took = max(plan["memory_bytes"]), max(plan["beyond_idle_bytes"])
            most = max(plan["resident_bytes"])
            lines.append(
                f"| {SAID[kind]} | {plan['devices']} | {plan['grid']} | "
                f"{len(plan['groups'].split())} | {told / 1e6:.0f} | {took / 1e6:.0f} | "
                f"{took / told:.2f} | {most / 1e6:.0f} | {one / most:.1f} |"
            )
    return "\n".join(lines)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=160, help="Of an image; a multiple of 16.")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument(
        "--devices", type=int, default=6, help="Plans are made for 1 to so many; 0 for none."
    )
    parser.add_argument(
        "--normalization", nargs="+", choices=darknet.NORMALIZATIONS, default=["batch", "frozen"]
    )
    parser.add_argument("--measure", nargs="*", type=int, default=[], metavar="N",
                        help="Numbers of processes that train.")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="Print everything for a program.")
    parser.add_argument("--write", action="store_true", help="Put the tables into docs/tiles.md.")
    options = parser.parse_args()
    if options.side < darknet.STRIDE or options.side % darknet.STRIDE:
        parser.error(f"--side {options.side}: expected a multiple of {darknet.STRIDE}")
    if options.batch_size < 1 or not 0 <= options.devices <= 64:
        parser.error("expected --batch-size of at least 1, and up to 64 --devices")
    if any(not 1 <= n <= 64 for n in options.measure):
        parser.error("--measure: expected 1 to 64 processes each")
    return options


def main() -> None:
    """Plans, measures what is asked for, and says what came."""
    options = _options()
    job = Job(options.batch_size)
    found: dict[Normalization, dict[str, Any]] = {}
    tables: dict[str, str] = {}
    title = f"Images of {options.side}×{options.side}, batch {options.batch_size}, SGD."
    for kind in options.normalization:
        found[kind] = {}
        if options.devices:
            found[kind] = planned(options.side, kind, range(1, options.devices + 1), job)
        if options.measure:
            found[kind]["measured"] = measured(options.side, kind, options.measure, job)
    if options.devices:
        tables |= {"memory": memory_table(found, title), "steps": step_table(found)}
    if options.measure:
        tables["peaks"] = peak_table(found, title)
    if options.write:
        for part, text in tables.items():
            PAGE.write_text(insert(PAGE.read_text(), text, NAME, part))
    print(json.dumps(found) if options.json else "\n\n".join(tables.values()))


if __name__ == "__main__":
    main()

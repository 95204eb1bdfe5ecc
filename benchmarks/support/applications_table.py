"""The document of `applications.py`, and its rows in the schema of results."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from support import records
from tfplus.measure.result import (
    Block,
    Configuration,
    Environment,
    Repetition,
    Result,
    Scalar,
)

BATCH, CLASSES, STEPS = 4, 10, 3
SYSTEM = "tfplus"
# Of a layer's largest gradient, what the comparison takes for rounding.
ROUNDING = 32 * 2.0**-23


def result(rows: list[dict[str, Any]]) -> Result:
    """Rows as the schema has them; one that was measured before there was one is left out."""
    known = [row for row in rows if "environment" in row]
    if len(known) < len(rows):
        old = len(rows) - len(known)
        print(f"{old} models lack their environment: left out, --again measures", file=sys.stderr)
    parts = [
        Result(
            "benchmarks/applications.py",
            row["started_at"],
            Environment(**row["environment"]),
            {"batch_size": BATCH, "classes": CLASSES, "compared_steps": STEPS},
            (repetition(row),),
        )
        for row in known
    ]
    return records.merged(parts)


def repetition(row: dict[str, Any]) -> Repetition:
    """One model."""
    names = ("parameters", "size_px", "export_s", "export_cpu_s", "export_peak_mb", "step_peak_mb")
    values: dict[str, Scalar] = {name: row.get(name) for name in names}
    for kind, run in zip(("xnnpack", "builtin"), row.get("runs", ()), strict=False):
        values |= {
            f"{kind}_{name}": value
            for name, value in run.items()
            if value is None or isinstance(value, (bool, int, float, str))
        }
    refusal = row.get("refused") or row.get("step_failed")
    blocks = (
        Block(b["number"], b["place"], b["is_warm_up"], tuple(b["iteration_ms"]))
        for b in row.get("step_blocks", ())
    )
    return Repetition(
        Configuration(
            workload=f"{row['model']}, batch {BATCH}",
            system=SYSTEM,
            runtime=row.get("runtime", "none"),
            model_sha256=row.get("model_sha256"),
            settings={"threads": 2, "batch_size": BATCH},
        ),
        has_own_process=True,
        blocks=tuple(blocks),
        values=values,
        absent={"iteration_ms": refusal} if refusal else {},
    )


def table(rows: list[dict[str, Any]], every: Sequence[str]) -> str:
    """The document.

    Args:
      rows: one a model.
      every: names of all models; those that have no row are listed.
    """
    head = (
        "# keras.applications\n\nWritten by `benchmarks/applications.py --write`; do not edit. "
        f"Models without weights, {CLASSES} classes,\nbatch {BATCH}, SGD, {STEPS} steps compared "
        "with TensorFlow. *Update* is the error of the worst variable, with\nand without XNNPACK, "
        f"beyond the rounding of float32; less than {ROUNDING:.0e} of a layer's largest gradient "
        "is\nnot told from rounding. *Small* is how many weights had updates so small beside them "
        "that they\nwere compared at a higher learning rate. Where an error is above 1e-3, both "
        "sides were computed\nin double precision, too: *float64* is the error of the lowered "
        "step's worst gradient there, and\n*TF float32* how far TensorFlow's own worst gradient "
        "is off its float64. A step is the median of\n10 on two threads; peak memory is that of a "
        "process which does nothing else. Times of a machine\nthat does other work beside are too "
        "long; *CPU s* is the processor's time of the same export.\nRows are added one by one: "
        "*Commit* is the state of the exporter that a row is of.\n\n"
    )
    on = sorted({row["machine"] for row in rows})
    lines = [head, *(f"Measured on {m}.\n" for m in on), "\n"]
    columns = (
        "Model",
        "Parameters",
        "Input",
        "Update",
        "Without XNNPACK",
        "Small",
        "float64",
        "TF float32",
        "Step ms",
        "Peak MB",
        "Export s",
        "CPU s",
        "Export MB",
        "Commit",
    )
    lines.append(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n")
    for row in rows:
        start = f"| {row['model']} | {number(row.get('parameters'))} | {number(row.get('size_px'))}"
        state = row.get("commit", "–")
        if "refused" in row:
            reason = re.sub(r"\s+", " ", row["refused"]).replace("|", "/")
            lines.append(f"{start} | {reason} |{' |' * (len(columns) - 5)} {state} |\n")
            continue
        xnnpack, plain = row["runs"]
        own = max(xnnpack["own_update"], plain["own_update"])
        cells = [
            error(xnnpack["update"]),
            error(plain["update"]),
            number(xnnpack.get("magnified")),
            *("–" if xnnpack["float64"] is None else f"{e:.1e}" for e in (xnnpack["float64"], own)),
            *(number(row.get(k)) for k in ("step_ms", "step_peak_mb", "export_s", "export_cpu_s")),
            number(row["export_peak_mb"]),
            state,
        ]
        lines.append(f"{start} | {' | '.join(cells)} |\n")
    measured = {row["model"] for row in rows}
    missing = [name for name in every if name not in measured]
    if missing:
        lines.append(f"\nNot measured yet: {', '.join(missing)}.\n")
    return "".join(lines)


def error(value: float) -> str:
    """An error, or what it is below."""
    return f"{value:.1e}" if value else f"< {ROUNDING:.0e}"


def number(value: float | None) -> str:
    """Rounded, or a dash."""
    return "–" if value is None else f"{value:.0f}"

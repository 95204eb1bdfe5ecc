"""The tables of `step.py`: on a terminal, and in a document."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def printed(row: dict[str, Any]) -> str:
    """One model for the terminal."""
    title = f"{row['model']}, batch {row['batch_size']}, {row['threads']} threads"
    header = ("system", "ms/step", "block medians", "peak MB", f"time / {row['reference']}")
    lines = [
        f"\n{title}",
        f"  {header[0]:<44}{header[1]:>9}  {header[2]:>17}  {header[3]:>8}  {header[4]:>13}",
    ]
    for system in row["systems"].values():
        medians = system["block_medians_ms"]
        lines.append(
            f"  {system['version']:<44}{system['median_ms']:>9.2f}  "
            f"{min(medians):>7.2f} … {max(medians):>7.2f}  {system['peak_rss_mb']:>8.0f}  "
            f"{system['time_ratio']:>7.2f}"
        )
    return "\n".join(lines)


def section(rows: Sequence[dict[str, Any]]) -> str:
    """All models for the document, with geometric means of the ratios."""
    reference = rows[0]["reference"]
    names = list(rows[0]["systems"])
    versions = {n: rows[0]["systems"][n]["version"] for n in names}
    on = sorted({row["machine"] for row in rows})
    out = [
        f"Measured on {'; '.join(on)}, {rows[0]['threads']} threads, batch "
        f"{rows[0]['batch_size']}, float32. Medians of {rows[0]['blocks']} blocks of "
        f"{rows[0]['steps']} steps,\nall systems in turn in one run; peak resident memory of a "
        "process of its own.\n"
    ]
    out.append(f"| Model | Parameters | {' | '.join(versions[n] for n in names)} |")
    out.append("|---|---|" + "---|" * len(names))
    for row in rows:
        cells = [
            f"{row['systems'][n]['median_ms']:.1f} ms, {row['systems'][n]['peak_rss_mb']:.0f} MB"
            for n in names
        ]
        out.append(f"| {row['model']} | {row['parameters']:,} | {' | '.join(cells)} |")
    others = [n for n in names if n != reference]
    out += [
        f"\nTime and memory of the other systems, as multiples of {reference}'s: above 1, "
        f"{reference} is faster or\nsmaller. A ratio of times is the median over the blocks.\n",
        f"| Model | {' | '.join(versions[n] for n in others)} |",
        "|---|" + "---|" * len(others),
    ]
    for row in rows:
        cells = [f"{_time(row, n):.2f}, {_memory(row, n):.2f}" for n in others]
        out.append(f"| {row['model']} | {' | '.join(cells)} |")
    means = [
        f"**{_mean([_time(r, n) for r in rows]):.2f}, {_mean([_memory(r, n) for r in rows]):.2f}**"
        for n in others
    ]
    out.append(f"| **Geometric mean** | {' | '.join(means)} |")
    return "\n".join(out)


def _time(row: dict[str, Any], name: str) -> float:
    return row["systems"][name]["time_ratio"]


def _memory(row: dict[str, Any], name: str) -> float:
    return row["systems"][name]["peak_rss_mb"] / row["systems"][row["reference"]]["peak_rss_mb"]


def _mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(v) for v in values) / len(values))

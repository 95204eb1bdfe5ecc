"""What `fedex.py` measured, as a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfplus.report.figures import Axis, BarFigure, Multiples
from tfplus.report.units import BYTES, SECONDS, Unit

PICTURE = "steps.svg"
_TIMES = Unit("", ((1, ""),), lambda value: f"{value:,.3g} ×")
HEAD = (
    "| model | parameters | whole, ms | first epoch, ms | later epochs, ms | steps/s | faster "
    "| CPU, ms: whole | later | saved | FedAvg, MB a round | FedEx, MB a round |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)
Row = dict[str, Any]


def line(row: Row) -> str:
    """A row of the table; its head is `HEAD`."""
    whole, first, later = (row[n] for n in ("whole", "first epoch", "later epochs"))
    return (
        f"| {row['model']} | {row['parameters'] / 1e6:.2f} M | {whole['ms']:.1f} "
        f"| {first['ms']:.1f} ({first['faster']:.1f} ×) | {later['ms']:.2f} "
        f"| {1e3 / later['ms']:.0f} | {later['faster']:.0f} × | {whole['cpu_ms']:.0f} "
        f"| {later['cpu_ms']:.2f} | {whole['cpu_ms'] / later['cpu_ms']:.0f} × "
        f"| {row['fedavg_bytes'] / 1e6:.2f} | {row['fedex_bytes'] / 1e6:.3f} |"
    )


def figure(rows: Sequence[Row]) -> Multiples:
    """How many times faster a step is, and what a step and a round take, by the model."""
    names = [f"{row['model']}, {row['parameters'] / 1e6:.1f} M" for row in rows]

    def panel(title: str, values: list[float], axis: Axis) -> BarFigure:
        return BarFigure(title, "model", names, values, axis)

    def cpu_s(system: str) -> list[float]:
        return [row[system]["cpu_ms"] / 1e3 for row in rows]

    def size(system: str) -> list[float]:
        return [float(row[f"{system}_bytes"]) for row in rows]

    first, later = ([row[n]["faster"] for row in rows] for n in ("first epoch", "later epochs"))
    panels = (
        panel("First epoch, against the whole model", first, Axis("times faster", _TIMES)),
        panel("Later epochs, against the whole model", later, Axis("times faster", _TIMES)),
        panel("FedAvg: processor, a step", cpu_s("whole"), Axis("processor", SECONDS)),
        panel("FedEx: processor, a later step", cpu_s("later epochs"), Axis("processor", SECONDS)),
        panel("FedAvg: a round", size("fedavg"), Axis("moved", BYTES)),
        panel("FedEx: a round", size("fedex"), Axis("moved", BYTES)),
    )
    return Multiples("A step and a round of FedEx and of FedAvg, by the size of the model", panels)

"""The page and the text of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from papers.experiments import EXPERIMENTS
from papers.verdicts import affordable, interval, reached, rounds_of, spent, verdict
from tfplus.report import page
from tfplus.report.figures import Axis, BarFigure, Line, LineFigure
from tfplus.report.units import FRACTION, Unit

_FLOPS = Unit("FLOP", ((1e9, "GFLOP"), (1e6, "MFLOP")), lambda v: f"{v / 1e9:.3g} GFLOP")
HEAD = (
    "",
    "start, %",
    "global, %",
    "calibrated, %",
    "local, %",
    "GFLOP a round",
    "of it averaging, %",
    "at equal work, %",
)
Result = Mapping[str, Any]


def rows(seeds: Sequence[Result]) -> list[list[str]]:
    """A row a system.

    Its last accuracies, what a round costs a device, and the global accuracy once it has spent what
    the cheapest system spends on all rounds.
    """
    budgets = [min(spent(c) for c in curves.values()) for curves in seeds]
    found: list[list[str]] = []
    for name in seeds[0]:
        curves = [of_seed[name] for of_seed in seeds]
        flops = float(np.mean([c["flops"] for c in curves]))
        mixed = float(np.mean([c["averaged"] for c in curves]))
        equal = [reached(c, affordable(c, most)) for c, most in zip(curves, budgets, strict=True)]
        found.append([
            name,
            interval([c["whole"][0] for c in curves]).text(),
            interval([reached(c, rounds_of(c)) for c in curves]).text(),
            interval([c["calibrated"] for c in curves]).text(),
            interval([reached(c, rounds_of(c), "local") for c in curves]).text(),
            f"{(flops + mixed) / 1e9:.3f}",
            f"{mixed / (flops + mixed) * 100:.2f}",
            interval(equal).text(),
        ])  # fmt: skip
    return found


def markdown(result: Result) -> str:
    """For a document: a table and the verdicts of every experiment."""
    parts: list[str] = []
    for key, seeds in result["experiments"].items():
        experiment = EXPERIMENTS[key]
        parts += [f"### {experiment.title}", experiment.setting]
        lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows(seeds)]
        parts.append("\n".join(lines))
        claims = [f"- {c.text}: **{verdict(c, seeds)}**" for c in experiment.claims]
        if claims:
            parts.append("\n".join(claims))
    return "\n\n".join(parts) + "\n"


def html(result: Result) -> str:
    """The page.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    body = [page.heading(f"Decoupled networks on {result['data']}", result["setting"])]
    for key, seeds in result["experiments"].items():
        experiment = EXPERIMENTS[key]
        drawn = [page.figure(f) for f in _figures(key, seeds)]
        claims = "".join(
            page.section(verdict(c, seeds).capitalize(), c.text, "") for c in experiment.claims
        )
        table = page.table(HEAD, rows(seeds), numbers=1)
        body.append(page.section(experiment.title, experiment.setting, "".join(drawn) + table))
        body.append(claims)
    return page.page(f"tfplus: decoupled networks on {result['data']}", body)


def _figures(key: str, seeds: Sequence[Result]) -> list[LineFigure | BarFigure]:
    names = list(seeds[0])
    if key == "figure5":
        work = [np.mean([s[n]["flops"] + s[n]["averaged"] for s in seeds]) for n in names]
        axis = Axis("of a round on a device", _FLOPS)
        return [BarFigure("Computation", "system", names, [float(v) for v in work], axis)]
    found: list[LineFigure | BarFigure] = []
    for count in sorted({rounds_of(seeds[0][n]) for n in names}):
        same = [n for n in names if rounds_of(seeds[0][n]) == count]
        for what, label in (("whole", "global accuracy"), ("local", "local accuracy")):
            lines = [
                Line(n, np.mean([s[n][what] for s in seeds], axis=0).tolist(), n == names[0])
                for n in same
            ]
            axis = Axis(label, FRACTION)
            title = f"{label} in {count} rounds, mean of seeds"
            found.append(LineFigure(title, "round", range(count + 1), lines, axis))
    ends = [interval([reached(s[n], rounds_of(s[n])) for s in seeds]) for n in names]
    if all(e.half is not None for e in ends):
        around = [(e.mean - (e.half or 0), e.mean + (e.half or 0)) for e in ends]
        axis = Axis("global accuracy at the end", FRACTION)
        means = [e.mean for e in ends]
        found.append(BarFigure("At the end", "system", names, means, axis, around))
    return found

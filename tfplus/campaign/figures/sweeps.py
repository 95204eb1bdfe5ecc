"""Figures 6 to 10 and Tables 4 and 5: layers of one kind, depth by width."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from tfplus.campaign.figures import findings
from tfplus.campaign.figures.chapter import Chapter, Material, Table, grouped, seconds, setting
from tfplus.campaign.figures.findings import Finding, Sweep, sweep_of
from tfplus.campaign.summary import Summary
from tfplus.measure import ratios
from tfplus.report.figures import Axis, BarFigure, Line, LineFigure
from tfplus.report.units import PLAIN, SECONDS

_TIME = Axis("median time", SECONDS)
_NAMES = {"fc": "dense layers", "conv": "convolutions", "depthwise": "depthwise convolutions"}


def chapters(material: Material) -> list[Chapter]:
    """What the cells of sweeps say."""
    found: list[Chapter] = []
    placed = [s for s in material.timed if sweep_of(s.cell)]
    tables: list[Table] = []
    for where, group in grouped(placed, lambda s: setting(s.cell)).items():
        known = {sweep: s for s in group if (sweep := sweep_of(s.cell))}
        for family in dict.fromkeys(sweep.family for sweep in known):
            own = {sweep: s for sweep, s in known.items() if sweep.family == family}
            found += _grown(own, family, where)
            tables += _costs(material, own, family, where)
        found += _depthwise(known, where)
        beside = _orders(known, where)
        if beside:
            behind = list(known.values())
            title = f"convolutions against dense layers ({where})"
            found.append(Chapter("Figures 6 to 9", title, findings=beside, behind=behind))
    if tables:
        found.append(
            Chapter("Tables 4 and 5", "operations and times by width and depth", (), tables)
        )
    return found


def _grown(known: Mapping[Sweep, Summary], family: str, where: str) -> list[Chapter]:
    widths = sorted({p.width for p in known})
    depths = sorted({p.depth for p in known})
    if len(widths) < 2:
        return []
    lines = [
        Line(f"depth {d}", [seconds(known.get(Sweep(family, d, w))) for w in widths])
        for d in depths
    ]
    title = f"{_NAMES[family]}, {where}"
    figure = LineFigure(title, "width", widths, lines, _TIME)
    said = _sensitivity(known, family, where)
    return [Chapter("Figures 6 to 9", title, [figure], (), said, list(known.values()))]


def _sensitivity(known: Mapping[Sweep, Summary], family: str, where: str) -> list[Finding]:
    claims = {
        "fc": ("dense layers are more sensitive to width than to depth", True),
        "conv": ("convolutions are more sensitive to depth than to width", False),
    }
    if family not in claims:
        return []
    claim, is_wide = claims[family]
    factors = {
        b.width // a.width
        for a, b in itertools.permutations(known, 2)
        if a.depth == b.depth and b.width % a.width == 0 and b.width > a.width
    }
    base = min(known, key=lambda s: (s.depth, s.width))
    for factor in sorted(factors, reverse=True):
        wide = known.get(Sweep(family, base.depth, base.width * factor))
        deep = known.get(Sweep(family, base.depth * factor, base.width))
        if wide is not None and deep is not None:
            what = f"{factor} × the width ÷ {factor} × the depth, {where}"

            def holds(ratio: float) -> bool:
                return ratio > 1 if is_wide else ratio < 1

            return [findings.of_ratio(claim, what, wide, deep, holds)]
    return []


def _orders(known: Mapping[Sweep, Summary], where: str) -> list[Finding]:
    claim = "convolutions are two orders slower than dense layers (taken as 30 × or more)"
    return [
        findings.of_ratio(
            claim,
            f"conv ÷ fc, depth {place.depth}, width {place.width}, {where}",
            s,
            known[Sweep("fc", place.depth, place.width)],
            lambda v: v >= 30,
        )
        for place, s in known.items()
        if place.family == "conv" and Sweep("fc", place.depth, place.width) in known
    ]


def _depthwise(known: Mapping[Sweep, Summary], where: str) -> list[Chapter]:
    pairs = [
        (place, s, known[Sweep("depthwise", place.depth, place.width)])
        for place, s in sorted(known.items(), key=lambda p: (p[0].depth, p[0].width))
        if place.family == "conv" and Sweep("depthwise", place.depth, place.width) in known
    ]
    if not pairs:
        return []
    of_pairs = [ratios.of_medians(a.medians_ms, b.medians_ms) for _, a, b in pairs]
    names = [f"d{place.depth} w{place.width}" for place, _, _ in pairs]
    ends = [(r.low, r.high) for r in of_pairs]
    title = f"standard ÷ depthwise convolution, {where}"
    figure = BarFigure(
        title, "network", names, [r.value for r in of_pairs], Axis("ratio", PLAIN), ends
    )
    said = [
        findings.of_ratio(
            "depthwise convolutions are cheaper",
            f"conv ÷ depthwise, {name}, {where}",
            a,
            b,
            lambda v: v > 1,
        )
        for name, (_, a, b) in zip(names, pairs, strict=True)
    ]
    said += _ever_more(pairs, where)
    behind = [s for _, *both in pairs for s in both]
    return [Chapter("Figure 10", title, [figure], (), said, behind)]


def _ever_more(pairs: list[tuple[Sweep, Summary, Summary]], where: str) -> list[Finding]:
    """The saving at the largest width over that at the smallest, repetition by repetition."""
    ordered = sorted(pairs, key=lambda p: p[0].width)
    (small, a, b), (large, c, d) = ordered[0], ordered[-1]
    if small.depth != large.depth or small.width == large.width:
        return []
    saved = [
        (z / w) / (x / y)
        for x, y, z, w in zip(a.medians_ms, b.medians_ms, c.medians_ms, d.medians_ms, strict=False)
    ]
    claim = "and ever more so with width"
    what = f"(conv ÷ depthwise) at width {large.width} ÷ at width {small.width}, {where}"
    return [findings.of_values(claim, what, saved, lambda v: v > 1)]


def _costs(
    material: Material, known: Mapping[Sweep, Summary], family: str, where: str
) -> list[Table]:
    flops = material.campaign.flops
    rows = [
        [
            str(place.depth),
            str(place.width),
            "unknown" if not (count := flops.get(s.cell.model)) else f"{count / 1e6:,.1f}",
            f"{s.median_ms:,.2f}",
            "unknown" if not count else f"{count / (s.median_ms or 1) / 1e6:,.2f}",
            s.verdict,
        ]
        for place, s in sorted(known.items(), key=lambda p: (p[0].depth, p[0].width))
        if s.median_ms
    ]
    head = ["depth", "width", "MFLOP a step", "median ms", "GFLOP/s", "validity"]
    if where.startswith("infer"):
        # What is counted is a whole training step.
        head, rows = [*head[:3], head[3], head[5]], [[*r[:4], r[5]] for r in rows]
    return [Table(f"{_NAMES[family]}, {where}", head, rows, 0)]

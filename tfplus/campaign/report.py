"""The report of a campaign: one HTML file with figures, numbers, their validity and findings."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus.campaign import findings, summary
from tfplus.campaign.findings import Sweep
from tfplus.campaign.plan import INFER, TRAIN, Cell
from tfplus.campaign.results import Campaign
from tfplus.campaign.summary import Summary
from tfplus.measure import ratios
from tfplus.report import page
from tfplus.report.figures import Axis, BarFigure, Line, LineFigure
from tfplus.report.units import ABSENT, BYTES, COUNT, PLAIN, SECONDS

_TIME = Axis("median time", SECONDS)


def render(campaign: Campaign) -> str:
    """Builds the report.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    summaries = summary.of(campaign)
    parts = [
        page.heading(
            f"Campaign {campaign.plan.name}",
            f"{campaign.result.environment}. A number is the median over repetitions, each in a "
            "fresh process, with an interval of 95 % from order statistics, that of a ratio from "
            "a bootstrap; warm-up is kept in the data and not counted.",
        ),
        _tiles(campaign, summaries),
        *_sweeps(summaries),
        *_depthwise(summaries),
        *_phases(summaries),
        _findings(summaries),
        _cells(summaries),
        _drift(campaign),
        _provenance(campaign),
    ]
    return page.page(f"tfplus campaign: {campaign.plan.name}", parts)


def _tiles(campaign: Campaign, summaries: Sequence[Summary]) -> str:
    valid = sum(s.is_valid for s in summaries)
    done = sum(len(r) for r in campaign.by_cell.values())
    planned = len(campaign.plan.cells) * campaign.plan.repetitions
    return page.tiles(
        [
            page.Tile("Valid cells", f"{valid} of {len(summaries)}", "the rest says why not", True),
            page.Tile("Repetitions", COUNT.write(done), f"of {planned} planned"),
            page.Tile("Iterations", COUNT.write(sum(1 for _ in campaign.rows())), "all kept"),
        ]
    )


def _sweeps(summaries: Sequence[Summary]) -> list[str]:
    groups: dict[tuple[str, str, int, int], dict[Sweep, Summary]] = {}
    for s in summaries:
        place = findings.sweep_of(s.cell)
        if place is not None:
            key = (place.family, s.cell.phase, s.cell.model.batch_size, s.cell.threads)
            groups.setdefault(key, {})[place] = s
    sections: list[str] = []
    for (family, phase, batch, threads), found in groups.items():
        widths = sorted({p.width for p in found})
        depths = sorted({p.depth for p in found})
        if len(widths) < 2:
            continue
        lines = [
            Line(f"depth {d}", [_seconds(found.get(Sweep(family, d, w))) for w in widths])
            for d in depths
        ]
        title = f"{family}: {phase}, batch {batch}, threads {threads}"
        figure = LineFigure(title, "width", widths, lines, _TIME)
        sections.append(page.section(title, _invalid(list(found.values())), page.figure(figure)))
    return sections


def _depthwise(summaries: Sequence[Summary]) -> list[str]:
    title = "Standard ÷ depthwise convolution"
    by_place = {
        (place, s.cell.phase, s.cell.model.batch_size, s.cell.threads): s
        for s in summaries
        if s.medians_ms and (place := findings.sweep_of(s.cell))
    }
    rows: list[tuple[str, Summary, Summary]] = []
    for (place, phase, batch, threads), s in by_place.items():
        other = by_place.get((Sweep("depthwise", place.depth, place.width), phase, batch, threads))
        if place.family == "conv" and other is not None:
            rows.append((f"{phase} d{place.depth} w{place.width} b{batch} t{threads}", s, other))
    return _ratio_section(title, "model", rows)


def _phases(summaries: Sequence[Summary]) -> list[str]:
    by_cell = {s.cell: s for s in summaries if s.medians_ms}
    rows: list[tuple[str, Summary, Summary]] = []
    for cell, s in by_cell.items():
        other = by_cell.get(Cell(cell.model, INFER, cell.threads, cell.device))
        if cell.phase == TRAIN and other is not None:
            name = cell.model.name.rpartition("/")[2]
            rows.append((f"{name} b{cell.model.batch_size} t{cell.threads}", s, other))
    return _ratio_section("Training step ÷ inference", "model", rows)


def _ratio_section(
    title: str, label: str, rows: Sequence[tuple[str, Summary, Summary]]
) -> list[str]:
    if not rows:
        return []
    found = [ratios.of_medians(a.medians_ms, b.medians_ms) for _, a, b in rows]
    figure = BarFigure(
        title,
        label,
        [name for name, _, _ in rows],
        [r.value for r in found],
        Axis("ratio", PLAIN),
        [(r.low, r.high) for r in found],
    )
    texts = [[name, str(r), _both(a, b)] for (name, a, b), r in zip(rows, found, strict=True)]
    listed = page.table([label, "ratio [95 %]", "validity"], texts, numbers=1)
    note = _invalid([s for _, *pair in rows for s in pair])
    return [page.section(title, note, page.figure(figure) + listed)]


def _findings(summaries: Sequence[Summary]) -> str:
    rows = [[f.claim, f.compared, str(f.ratio), f.outcome] for f in findings.of(summaries)]
    head = ["the SEC'19 study found", "compared here", "ratio [95 %]", "here"]
    note = "Only what these cells can answer; what rests on an invalid number stays open."
    content = page.table(head, rows, numbers=9) if rows else page.absent("these cells answer none")
    return page.section("What the paper found", note, content)


def _cells(summaries: Sequence[Summary]) -> str:
    head = ["model", "phase", "batch", "threads", "n", "median", "95 %", "MAD", "peak memory", ""]
    rows = [
        [
            s.cell.model.name.rpartition("/")[2],
            s.cell.phase,
            str(s.cell.model.batch_size),
            str(s.cell.threads),
            str(len(s.medians_ms)),
            _written(s.median_ms),
            ABSENT if s.interval_ms is None else " to ".join(map(_written, s.interval_ms)),
            _written(s.mad_ms),
            BYTES.write(s.peak_rss_bytes),
            s.verdict,
        ]
        for s in summaries
    ]
    return page.section("Cells", "", page.table(head, rows, numbers=2))


def _drift(campaign: Campaign) -> str:
    blocks = range(campaign.plan.repetitions)
    rows = [[str(b), ABSENT if (d := campaign.drift(b)) is None else f"{d:+.1%}"] for b in blocks]
    note = (
        f"{campaign.plan.reference} at the end of each block against its begin; beyond "
        f"{campaign.plan.max_drift:.0%} the block is suspect."
    )
    return page.section("Drift", note, page.table(["block", "moved"], rows, numbers=1))


def _provenance(campaign: Campaign) -> str:
    here = campaign.result.environment
    names = ("device", "architecture", "os", "kernel", "cpu_model", "cores", "governor", "python")
    rows = [[n, _text(getattr(here, n), here.absent.get(n))] for n in names]
    rows += [["tfplus", f"{here.tfplus_version}, {here.tfplus_commit or ABSENT}"]]
    rows += [["began", campaign.result.started_at], ["plan", campaign.plan.sha256]]
    return page.section("Provenance", "", page.table(["", ""], rows, numbers=9))


def _invalid(found: Sequence[Summary]) -> str:
    bad = [s for s in found if not s.is_valid]
    if not bad:
        return "All numbers are valid."
    reasons = "; ".join(dict.fromkeys(reason for s in bad for reason in s.reasons))
    return f"INVALID: {len(bad)} of {len(found)} numbers ({reasons})."


def _both(a: Summary, b: Summary) -> str:
    return "valid" if a.is_valid and b.is_valid else _invalid([a, b])


def _seconds(of: Summary | None) -> float | None:
    return None if of is None or of.median_ms is None else of.median_ms / 1e3


def _written(value_ms: float | None) -> str:
    return SECONDS.write(None if value_ms is None else value_ms / 1e3)


def _text(value: object, why: str | None) -> str:
    return f"unavailable because: {why}" if value is None else str(value)

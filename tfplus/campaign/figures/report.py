"""The report of a campaign: one HTML file with figures, numbers, their validity and findings."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tfplus.campaign.figures import chapters
from tfplus.campaign.figures.chapter import Chapter, Material, written
from tfplus.campaign.figures.findings import Finding
from tfplus.campaign.results import Campaign
from tfplus.campaign.summary import Summary
from tfplus.report import page
from tfplus.report.units import ABSENT, BYTES, COUNT


def render(campaign: Campaign) -> str:
    """Builds the report.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    material = Material.of(campaign)
    told = chapters.of(material)
    parts = [
        page.heading(
            f"Campaign {campaign.plan.name}",
            f"{_devices(campaign)}. A number is the median over repetitions, each in a "
            "fresh process, with an interval of 95 % from order statistics, that of a ratio from "
            "a bootstrap; warm-up is kept in the data and not counted.",
        ),
        _tiles(campaign, material.summaries),
        _findings([f for chapter in told for f in chapter.findings]),
        *(_chapter(chapter) for chapter in told),
        _cells(material.summaries),
        _drift(campaign),
        *(_provenance(campaign, name) for name in campaign.environments),
    ]
    return page.page(f"tfplus campaign: {campaign.plan.name}", parts)


def _devices(campaign: Campaign) -> str:
    return "; ".join(f"{name}: {of}" for name, of in campaign.environments.items())


def _chapter(of: Chapter) -> str:
    content = [page.figure(figure) for figure in of.figures]
    for table in of.tables:
        above = f"<h3>{escape(table.title)}</h3>" if len(of.tables) > 1 else ""
        content.append(above + page.table(table.head, table.rows, numbers=table.numbers))
    if of.findings:
        content.append(_said(of.findings))
    notes = " ".join((of.validity, *of.notes)).strip()
    return page.section(of.heading, notes, "".join(content) or page.absent("nothing to draw"))


def _tiles(campaign: Campaign, summaries: Sequence[Summary]) -> str:
    valid = sum(s.is_valid for s in summaries)
    done, planned = len(campaign.result.repetitions), campaign.plan.runs
    return page.tiles(
        [
            page.Tile("Valid cells", f"{valid} of {len(summaries)}", "the rest says why not", True),
            page.Tile("Processes", COUNT.write(done), f"of {planned} planned"),
            page.Tile("Iterations", COUNT.write(sum(1 for _ in campaign.rows())), "all kept"),
        ]
    )


def _findings(of: Sequence[Finding]) -> str:
    note = "Only what these cells can answer; what rests on an invalid number stays open."
    content = _said(of) if of else page.absent("these cells answer none")
    return page.section("What the paper found", note, content)


def _said(of: Sequence[Finding]) -> str:
    rows = [[f.claim, f.compared, str(f.ratio), f.outcome] for f in of]
    return page.table(
        ["the SEC'19 study found", "compared here", "number [95 %]", "here"], rows, numbers=9
    )


def _cells(summaries: Sequence[Summary]) -> str:
    head = ["model", "phase", "where", "batch", "n", "median", "95 %", "MAD", "peak memory", ""]
    rows = [
        [
            s.cell.model.label,
            s.cell.phase,
            s.cell.system,
            str(s.cell.model.batch_size),
            str(len(s.medians_ms)),
            written(s.median_ms),
            ABSENT if s.interval_ms is None else " to ".join(map(written, s.interval_ms)),
            written(s.mad_ms),
            BYTES.write(s.peak_rss_bytes),
            s.verdict,
        ]
        for s in summaries
    ]
    return page.section("Cells", "", page.table(head, rows, numbers=3))


def _drift(campaign: Campaign) -> str:
    plan = campaign.plan
    rows = [
        [
            name,
            str(b),
            ABSENT if (d := campaign.drift(name, b)) is None else f"{d:+.1%}",
            COUNT.write(campaign.anew.get((name, b), 0)),
        ]
        for name in plan.devices
        for b in range(plan.repetitions)
    ]
    note = (
        f"{plan.reference.workload} at the end of each block against its begin; beyond "
        f"{plan.max_drift:.0%} the block is suspect, and is measured anew up to "
        f"{plan.drift_retries} times. What it was before stays in the journal."
    )
    head = ["device", "block", "moved", "measured anew"]
    return page.section("Drift", note, page.table(head, rows, numbers=2))


def _provenance(campaign: Campaign, device: str) -> str:
    here = campaign.environments[device]
    names = ("device", "architecture", "os", "kernel", "cpu_model", "cores", "governor", "python")
    rows = [[n, _text(getattr(here, n), here.absent.get(n))] for n in names]
    rows += [["tfplus", f"{here.tfplus_version}, {here.tfplus_commit or ABSENT}"]]
    rows += [["began", campaign.result.started_at], ["plan", campaign.plan.sha256]]
    return page.section(f"Provenance of {device}", "", page.table(["", ""], rows, numbers=9))


def _text(value: object, why: str | None) -> str:
    return f"unavailable because: {why}" if value is None else str(value)

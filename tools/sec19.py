"""Runs the reduced plans of the SEC'19 study and writes a page of what they found.

usage: scripts/sec19 [--only PLAN ...] [--repetitions N] [--iterations N] [--runs DIR] [--docs DIR]
                     [--page] [--list]

Results lie in DIR/PLAN, exported models beside them, so that the same command goes on after a stop.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from tfplus.campaign import exporting, forecast, journal, results, runner
from tfplus.campaign.figures import chapters, files
from tfplus.campaign.figures.chapter import Chapter, Material, Table, values_of
from tfplus.campaign.planning import plan_file
from tfplus.campaign.planning.plan import Plan
from tfplus.campaign.results import Campaign
from tfplus.cli.text import campaign as campaign_text
from tfplus.report import drawing, svg
from tfplus.report.units import ABSENT
from tfplus.system.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
PLANS = (
    "sec19-fig3-reduced",
    "sec19-fig6-reduced",
    "sec19-fig10-reduced",
    "sec19-fig11-reduced",
    "sec19-fig12-reduced",
    "sec19-fig16-reduced",
    "sec19-fig17-reduced",
)
PAGE, FIGURES = "sec19.md", "sec19"
# A table that is longer is folded.
_SHORT = 12


def plan_of(name: str, options: argparse.Namespace) -> Plan:
    """A ready plan, with what the command line changes."""
    text = resources.files("tfplus.campaign.ready").joinpath(f"{name}.toml").read_text("utf-8")
    for key in ("repetitions", "iterations"):
        if (value := getattr(options, key)) is not None:
            text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    return plan_file.parse(text, name)


def measure(names: Sequence[str], options: argparse.Namespace) -> None:
    """Runs what is missing of each plan."""
    for number, name in enumerate(names, 1):
        print(f"{number} of {len(names)}: {name}", file=sys.stderr)
        with campaign_text.live() as show:
            runner.run(
                plan_of(name, options),
                options.runs / name,
                show,
                models=options.runs / "models",
            )


def show_plans(names: Sequence[str], options: argparse.Namespace) -> None:
    """Prints how long each plan may take, exports included where they are missing."""
    plans = [plan_of(name, options) for name in names]
    folder = options.runs / "models"
    lacking = {m.name for plan in plans for m in forecast.missing(plan, folder)}
    costs, exported, total = exporting.costs(sorted(lacking)), set[str](), 0.0
    for name, plan in zip(names, plans, strict=True):
        missing = {m.file_name for m in forecast.missing(plan, folder)} - exported
        exported |= missing
        guessed = forecast.duration_s(plan, forecast.of(plan, folder, costs), len(missing))
        total += guessed
        about = campaign_text.duration(guessed)
        print(f"{name:22} {plan.runs:4} processes, {len(missing):2} exports, about {about}")
    print(f"{'together':22} about {campaign_text.duration(total)}")


def write_page(names: Sequence[str], options: argparse.Namespace) -> None:
    """Writes the page and its drawings; drawings of an earlier page are removed."""
    folder = options.docs / FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    found = {
        name: results.read(options.runs / name)
        for name in names
        if (options.runs / name / journal.NAME).exists()
    }
    told = [(name, c) for name, of in found.items() for c in chapters.of(Material.of(of))]
    drawn: set[str] = set()
    lines = [*_top(found), *_findings([c for _, c in told])]
    for name, chapter in told:
        lines += [*_chapter(name, chapter, folder, drawn)]
    for old in folder.glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    write_atomic(options.docs / PAGE, ("\n".join(lines).rstrip() + "\n").encode())
    print(f"wrote {options.docs / PAGE} with {len(drawn)} drawings", file=sys.stderr)


def _top(found: dict[str, Campaign]) -> Iterator[str]:
    yield "# The SEC'19 study, measured anew"
    yield ""
    yield (
        "Chen, Biookaghazadeh and Zhao, *Exploring the Capabilities of Mobile Devices in "
        "Supporting Deep Learning* (SEC 2019), re-run by `scripts/sec19`: reduced plans, on a "
        "machine that is no phone. What is compared are ratios within this machine, not its times "
        "with theirs. "
        "Written by that command; nothing here is written by hand."
    )
    yield ""
    yield (
        "| plan | measured | where | load, other programs' too | processes | blocks measured anew "
        "| valid cells |"
    )
    yield "|---|---|---|---:|---:|---:|---:|"
    for name, of in found.items():
        where = "; ".join(f"{device}: {here}" for device, here in of.environments.items())
        summaries = Material.of(of).summaries
        valid = sum(s.is_valid for s in summaries)
        done = len(of.result.repetitions)
        loads = values_of(of.result.repetitions, "load_1min_before")
        load = f"{min(loads):.1f} to {max(loads):.1f}" if loads else ABSENT
        row = (name, of.result.started_at[:10], where, load, f"{done} of {of.plan.runs}")
        anew = f"{len(of.anew)} of {of.plan.repetitions * len(of.plan.devices)}"
        told = f"{valid} of {len(summaries)}" if summaries else "no times"
        yield f"| {' | '.join(row)} | {anew} | {told} |"
    yield ""


def _findings(told: Sequence[Chapter]) -> Iterator[str]:
    rows = [[f.claim, f.compared, str(f.ratio), f.outcome] for c in told for f in c.findings]
    yield "## What the paper found, and whether it holds here"
    yield ""
    yield (
        "A finding holds, or does not, where its whole interval of 95 % agrees; it is open where "
        "the interval is on both sides, or a number behind it is INVALID."
    )
    yield ""
    head = ["the study found", "compared here", "number [95 %]", "here"]
    yield from _table(Table("", head, rows, 9))


def _chapter(plan: str, of: Chapter, folder: Path, drawn: set[str]) -> Iterator[str]:
    yield f"## {of.heading}"
    yield ""
    yield " ".join((f"From `{plan}`.", of.validity, *of.notes)).strip()
    yield ""
    for figure in of.figures:
        name = f"{files.slug(f'{plan} {of.number} {figure.title}')}.svg"
        if figure.has_values and name not in drawn:
            write_atomic(folder / name, svg.standalone(drawing.svg(figure)).encode())
            drawn.add(name)
            yield f"![{figure.title}]({FIGURES}/{name})"
            yield ""
    for table in of.tables:
        is_long = len(table.rows) > _SHORT
        if is_long:
            yield f"<details><summary>{table.title}</summary>\n"
        elif table.title:
            yield f"{table.title}:\n"
        yield from _table(table)
        if is_long:
            yield "</details>\n"


def _table(of: Table) -> Iterator[str]:
    if not of.rows:
        yield f"{ABSENT}\n"
        return
    yield f"| {' | '.join(of.head)} |"
    yield f"|{'|'.join('---:' if i >= of.numbers else '---' for i in range(len(of.head)))}|"
    for row in of.rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
    yield ""


def main() -> None:
    """Measures and writes, or what of it is asked for."""
    parser = argparse.ArgumentParser(prog="scripts/sec19", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PLANS, default=PLANS, metavar="PLAN")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "sec19")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--page", action="store_true", help="Write the page, measure nothing.")
    parser.add_argument("--list", action="store_true", help="How long it may take.")
    options = parser.parse_args()
    if options.list:
        show_plans(options.only, options)
        return
    if not options.page:
        options.runs.mkdir(parents=True, exist_ok=True)
        measure(options.only, options)
    write_page(options.only, options)


if __name__ == "__main__":
    main()

"""A report as files: the page, each drawing as SVG, PDF and CSV, each table as CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfplus.campaign.figures import chapters, report
from tfplus.campaign.figures.chapter import Chapter, Material, Table
from tfplus.campaign.results import Campaign
from tfplus.report import drawing, svg
from tfplus.report.figures import data_of
from tfplus.system.files import write_atomic

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "×": r"$\times$", "÷": r"$\div$", "µ": r"\textmu{}", "—": "---", "≥": r"$\geq$",
}  # fmt: skip


def write(campaign: Campaign, folder: Path) -> list[Path]:
    """Writes everything; files that are there are replaced.

    Args:
      campaign: what was measured.
      folder: made where it is missing.

    Returns:
      The files, the page first.

    Raises:
      MissingExtraError: matplotlib is not installed.
      OSError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "report.html"]
    write_atomic(written[0], report.render(campaign).encode())
    for chapter in chapters.of(Material.of(campaign)):
        for name, content in _of(chapter):
            if (path := folder / name) not in written:
                write_atomic(path, content)
                written.append(path)
    return written


def _of(chapter: Chapter) -> Iterator[tuple[str, bytes]]:
    for figure in chapter.figures:
        if not figure.has_values:
            continue
        name = slug(f"{chapter.number} {figure.title}")
        yield f"{name}.svg", svg.standalone(drawing.svg(figure)).encode()
        yield f"{name}.pdf", drawing.pdf(figure)
        for number, data in enumerate(data_of(figure)):
            yield f"{name}{f'-{number + 1}' if number else ''}.csv", data.csv().encode()
    for table in chapter.tables:
        name = slug(f"{chapter.number} table {table.title}")
        yield f"{name}.csv", _csv(table).encode()
        yield f"{name}.tex", latex(table, chapter.validity).encode()


def slug(text: str) -> str:
    """A text as the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:120]


def latex(table: Table, note: str = "") -> str:
    """A table for the package booktabs.

    Args:
      table: the numbers.
      note: below it, such as which of them do not count.
    """
    columns = "".join("r" if i >= table.numbers else "l" for i in range(len(table.head)))
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{_tex(table.title)}}}"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(table.head), r"\midrule"]
    lines += [*map(_row, table.rows), r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\small {_tex(note)}"] if note else []
    return "\n".join([*lines, r"\end{table}", ""])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_tex, cells)) + r" \\"


def _tex(text: str) -> str:
    return "".join(_SPECIAL.get(c, c) for c in text)


def _csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.head)
    writer.writerows(table.rows)
    return out.getvalue()

"""Tables of what was measured: medians and spread, and who stalled or ended with another mean."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from rivals.systems import WAYS
from rivals.trial import EXACT, Averaging

_FAILED_CHARS = 90


def undisturbed(found: Sequence[Averaging]) -> str:
    """Markdown: nobody was killed."""
    lines = [
        "| system | exact | time, s | over loopback, MB | processor, s | error |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, runs in _by_way(found):
        exact = sum(run.exact for run in runs)
        lines.append(
            f"| {name} {runs[0].version} | {exact} of {len(runs)} "
            f"| {_middle(run.seconds for run in runs)} "
            f"| {_middle((run.loopback_bytes / 1e6 for run in runs), '.0f')} "
            f"| {_middle(run.cpu_s for run in runs)} "
            f"| {_largest(run.error for run in runs)} |"
        )
    return "\n".join(lines)


def disturbed(found: Sequence[Averaging]) -> str:
    """Markdown: one peer was killed."""
    lines = [
        "| system | killed after, s | survivors done, s | all alike, s | over loopback, MB "
        "| apart at the end | from the mean of all | of the survivors | |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, runs in _by_way(found):
        lines.append(
            f"| {name} {runs[0].version} | {_middle(run.killed_s for run in runs)} "
            f"| {_middle(run.seconds for run in runs)} | {_middle(run.agreed_s for run in runs)} "
            f"| {_middle((run.loopback_bytes / 1e6 for run in runs), '.0f')} "
            f"| {_largest(run.spread for run in runs)} | {_largest(run.error for run in runs)} "
            f"| {_largest(run.error_of_survivors for run in runs)} | {_remark(runs)} |"
        )
    return "\n".join(lines)


def legend(found: Sequence[Averaging]) -> str:
    """What each way is that was tried, one line each."""
    return "\n".join(f"- {name}: {WAYS[name].said}." for name, _ in _by_way(found))


def _by_way(found: Sequence[Averaging]) -> list[tuple[str, list[Averaging]]]:
    by_way: dict[str, list[Averaging]] = {}
    for run in found:
        by_way.setdefault(run.way, []).append(run)
    return list(by_way.items())


def _middle(values: Iterable[float | None], form: str = ".1f") -> str:
    """The median, and the least and the largest where there are several; `-` for none."""
    known = [v for v in values if v is not None]
    if not known:
        return "–"
    middle = f"{statistics.median(known):{form}}"
    if len(known) == 1:
        return middle
    return f"{middle} ({min(known):{form}} to {max(known):{form}})"


def _largest(values: Iterable[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{max(known):.0e}" if known else "–"


def _remark(runs: Sequence[Averaging]) -> str:
    said: list[str] = []
    if stalled := sum(run.stalled for run in runs):
        said.append(f"{stalled} survivors of {len(runs)} averagings came to no end")
    if any(run.spread is not None and run.spread > EXACT for run in runs):
        said.append("survivors differ")
    failures = dict.fromkeys(why for run in runs for why in run.failed)
    said += [f"`{why[:_FAILED_CHARS]}`" for why in list(failures)[:1]]
    return "; ".join(said).replace("|", "/").replace("\n", " ")

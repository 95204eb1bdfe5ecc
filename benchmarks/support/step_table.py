"""The tables of `step.py`: on a terminal, and in a document. A result is of one model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfplus.measure import ratios
from tfplus.measure.result import Repetition, Result


def printed(result: Result) -> str:
    """One model for the terminal."""
    reference = result.settings["reference"]
    about = result.settings
    title = f"{about['model']}, batch {about['batch_size']}, {_threads(about['threads'])}"
    header = ("system", "ms/step", "block medians", "peak MB", f"time / {reference}")
    lines = [
        f"\n{title}",
        f"  {header[0]:<44}{header[1]:>9}  {header[2]:>17}  {header[3]:>8}  {header[4]:>13}",
    ]
    for repetition in result.repetitions:
        medians = [block.median_ms for block in repetition.counted]
        lines.append(
            f"  {repetition.configuration.runtime:<44}{_median_ms(repetition):>9.2f}  "
            f"{min(medians):>7.2f} … {max(medians):>7.2f}  {_peak_mb(repetition):>8.0f}  "
            f"{_time(result, repetition):>7.2f}"
        )
    return "\n".join(lines)


def section(results: Sequence[Result]) -> str:
    """All models for the document, with geometric means of the ratios."""
    about, systems = results[0].settings, results[0].repetitions
    names = [r.configuration.system for r in systems]
    versions = {r.configuration.system: r.configuration.runtime for r in systems}
    on = sorted({str(r.environment) for r in results})
    out = [
        f"Measured on {'; '.join(on)}, {_threads(about['threads'])}, batch "
        f"{about['batch_size']}, float32. Medians of {about['blocks']} blocks of "
        f"{about['steps']} steps,\nall systems in turn in one run; peak resident memory of a "
        "process of its own.\n"
    ]
    out.append(f"| Model | Parameters | {' | '.join(versions[n] for n in names)} |")
    out.append("|---|---|" + "---|" * len(names))
    for result in results:
        found = [_system(result, n) for n in names]
        cells = [f"{_median_ms(r):.1f} ms, {_peak_mb(r):.0f} MB" for r in found]
        parameters = _reference(result).values["parameters"]
        out.append(f"| {result.settings['model']} | {parameters:,} | {' | '.join(cells)} |")
    reference = about["reference"]
    others = [n for n in names if n != reference]
    out += [
        f"\nTime and memory of the other systems, as multiples of {reference}'s: above 1, "
        f"{reference} is faster or\nsmaller. A ratio of times is the median over the blocks.\n",
        f"| Model | {' | '.join(versions[n] for n in others)} |",
        "|---|" + "---|" * len(others),
    ]
    table = {r.settings["model"]: [_both(r, n) for n in others] for r in results}
    for model, pairs in table.items():
        cells = [f"{time:.2f}, {memory:.2f}" for time, memory in pairs]
        out.append(f"| {model} | {' | '.join(cells)} |")
    means = [
        f"**{_mean([pairs[i][0] for pairs in table.values()]):.2f}, "
        f"{_mean([pairs[i][1] for pairs in table.values()]):.2f}**"
        for i in range(len(others))
    ]
    out.append(f"| **Geometric mean** | {' | '.join(means)} |")
    return "\n".join(out)


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def _system(result: Result, name: str) -> Repetition:
    return next(r for r in result.repetitions if r.configuration.system == name)


def _reference(result: Result) -> Repetition:
    return _system(result, str(result.settings["reference"]))


def _time(result: Result, repetition: Repetition) -> float:
    # Blocks that ran one after the other saw the same machine.
    return ratios.time_ratio(repetition.blocks, _reference(result).blocks)


def _both(result: Result, name: str) -> tuple[float, float]:
    repetition = _system(result, name)
    memory = _peak_mb(repetition) / _peak_mb(_reference(result))
    return _time(result, repetition), memory


def _median_ms(repetition: Repetition) -> float:
    return repetition.median_ms or math.nan


def _peak_mb(repetition: Repetition) -> float:
    peak = repetition.values.get("peak_rss_bytes")
    return math.nan if peak is None else peak / (1 << 20)


def _mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(v) for v in values) / len(values))

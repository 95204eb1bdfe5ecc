"""The document of `gpu.py`, and what it measures: suites, and both devices side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from support.gpu_graphs import FORWARD
from tfplus.measure.result import Repetition, Result, Scalar
from tfplus_export import zoo

CPU, GPU = "cpu", "gpu"
MODELS, OPERATIONS = "models", "operations"
# Steps between two reads of the loss, where not every step is read.
READ_EVERY = 10


@dataclass(frozen=True)
class Suite:
    """What is measured, and for how long.

    Attributes:
      models: of the zoo.
      batch: samples of a step.
      scale: of the operations' channels.
      seconds: for each graph on each device.
    """

    models: tuple[str, ...]
    batch: int
    scale: int
    seconds: float


SUITES = {
    "small": Suite(("digits", "lenet"), 8, 1, 0.4),
    "papers": Suite(
        tuple(zoo.MODELS),
        128,
        4,
        3.0,
    ),
}


@dataclass(frozen=True)
class Timed:
    """One graph on both devices, median milliseconds; None where the device does not run it.

    Attributes:
      of: the model or operation.
      part: of it.
      cpu_ms: on all cores.
      gpu_ms: waiting for the GPU after every run for a model's step, and else every tenth.
      says: why one is None.
    """

    of: str
    part: str
    cpu_ms: float | None
    gpu_ms: float | None
    says: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster the GPU is."""
        if self.cpu_ms is None or self.gpu_ms is None:
            return None
        return self.cpu_ms / self.gpu_ms


def both(repetitions: Sequence[Repetition]) -> list[Timed]:
    """The two devices' times of each graph side by side."""
    pairs: dict[tuple[Scalar, Scalar], dict[str, Repetition]] = {}
    for r in repetitions:
        settings = r.configuration.settings
        key = (settings["of"], settings["part"])
        pairs.setdefault(key, {})[r.configuration.system] = r
    return [
        Timed(
            str(of),
            str(part),
            pair[CPU].median_ms,
            pair[GPU].median_ms,
            "; ".join(dict.fromkeys(text for r in pair.values() for text in r.absent.values())),
        )
        for (of, part), pair in pairs.items()
    ]


def accelerations(found: Sequence[Timed]) -> list[tuple[str, float, float, float]]:
    """Model, and how many times faster with the backward, the forward, and both on the GPU."""
    rows: list[tuple[str, float, float, float]] = []
    by_name = {(t.of, t.part): t for t in found}
    for name in dict.fromkeys(t.of for t in found):
        step, forward = by_name.get((name, "step")), by_name.get((name, FORWARD))
        times = [x for t in (step, forward) if t for x in (t.cpu_ms, t.gpu_ms) if x is not None]
        if len(times) != 4:
            continue
        cpu, gpu, forward_cpu, forward_gpu = times
        rows.append(
            (
                name,
                cpu / (forward_cpu + max(0.0, gpu - forward_gpu)),
                cpu / (forward_gpu + max(0.0, cpu - forward_cpu)),
                cpu / gpu,
            )
        )
    return rows


def document(measured: Result) -> str:
    """The whole of docs/gpu-performance.md."""
    about, environment = measured.settings, measured.environment
    suite_name = str(about["suite"])
    suite = SUITES[suite_name]
    # Whatever is no model of the zoo is an operation.
    kinds = {kind: [] for kind in (MODELS, OPERATIONS)}
    for r in measured.repetitions:
        kinds[OPERATIONS if r.configuration.settings["of"] not in zoo.MODELS else MODELS].append(r)
    steps, ops = both(kinds[MODELS]), both(kinds[OPERATIONS])
    lines = [
        "# The training step on a GPU",
        "",
        f"Written by `benchmarks/gpu.py --suite {suite_name} --write docs/gpu-performance.md`; do "
        "not edit.",
        "",
        f"{about['gpu']}, {about['driver']}, against "
        f"{environment.cpu_model or environment.architecture}, {about['threads']} threads; "
        f"{about['runtime']}; batch {suite.batch}, float32; medians. Above 1 the GPU is faster.",
        "",
    ]
    if about["is_software"]:
        lines += [
            "**This GPU is a program that runs on the CPU.** The numbers show that the command and "
            "the delegate work; the ratios say nothing of any real GPU. On a machine with one, the "
            "same command with `--suite papers` writes this file anew.",
            "",
        ]
    lines += [
        "## Whole step",
        "",
        "The loss is read after every step, or after every tenth.",
        "",
        "| Model | CPU, ms | GPU, ms | times faster | GPU, read every tenth, ms | gain by that |",
        "|---|---|---|---|---|---|",
    ]
    by_name = {(t.of, t.part): t for t in steps}
    for name in dict.fromkeys(t.of for t in steps):
        step = by_name[name, "step"]
        rarely = by_name.get((name, f"step, read every {READ_EVERY}"))
        gain = step.gpu_ms / rarely.gpu_ms if step.gpu_ms and rarely and rarely.gpu_ms else None
        rare_ms = rarely.gpu_ms if rarely else None
        cells = (shown(step.cpu_ms), shown(step.gpu_ms), shown(step.ratio), shown(rare_ms))
        lines.append(
            f"| {name} | {' | '.join(cells)} | {shown(gain)} | {step.says}".rstrip(" |") + " |"
        )
    lines += [
        "",
        "## One pass or both on the GPU",
        "",
        "Figures 12 to 14 of the SEC'19 paper: how many times faster the step is with the backward "
        "pass (and the update), the forward pass, or both on the GPU. With one pass alone it is a "
        "sum of measured times, without the cost of moving activations: a bound from above.",
        "",
        "| Model | backward (figure 12) | forward (figure 13) | both (figure 14) |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {shown(b)} | {shown(f)} | {shown(w)} |"
        for name, b, f, w in accelerations(steps)
    ]
    lines += [
        "",
        "## Each operation",
        "",
        f"Graphs of their own, {READ_EVERY} runs between two reads.",
        "",
        "| Operation | Part | CPU, ms | GPU, ms | times faster |",
        "|---|---|---|---|---|",
    ]
    for t in ops:
        lines.append(
            f"| {t.of} | {t.part} | {shown(t.cpu_ms)} | {shown(t.gpu_ms)} | "
            f"{shown(t.ratio)}{' ' + t.says if t.says else ''} |"
        )
    return "\n".join(lines) + "\n"


def shown(value: float | None) -> str:
    """Three digits, without an exponent."""
    if value is None:
        return "–"
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"

"""What `tfplus export` says of the files that it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfplus.model_file.artifact import Artifact

if TYPE_CHECKING:
    from tfplus_export.costs.savings import Savings
    from tfplus_export.tuning.tuning_file import TuningFile


def summary(artifact: Artifact) -> dict[str, object]:
    """What `--json` prints of a file."""
    manifest = artifact.manifest
    return {
        "path": str(artifact.path),
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes,
        "parameters": manifest.parameters,
        "classes": list(manifest.classes),
        "batch_size": manifest.batch_size,
        "flops_per_step": manifest.flops_per_step,
        "parity": manifest.parity,
        "targets": manifest.targets,
        "variables_bytes": sum(v.size_bytes for v in manifest.variables),
        "stored_bytes": sum(v.stored_bytes for v in manifest.variables),
    }


def show(console: Console, artifact: Artifact) -> None:
    """Prints what a file is, and what training it takes."""
    manifest = artifact.manifest
    console.print(
        f"[bold]{escape(str(artifact.path))}[/bold]: {manifest.parameters:,} parameters, "
        f"{artifact.size_bytes / 1e6:.2f} MB, batch {manifest.batch_size}, "
        f"{sum(manifest.operators.values())} builtin operators; updates equal "
        f"TensorFlow's {_agreement(manifest.parity['runs'])}"
    )
    whole = sum(v.size_bytes for v in manifest.variables)
    kept = sum(v.stored_bytes for v in manifest.variables)
    if kept < whole:
        console.print(
            f"  initial values: {kept / 1e6:.2f} MB instead of {whole / 1e6:.2f} MB as float32, "
            f"ratio {kept / whole:.2f}"
        )
    for warning in manifest.parity.get("warnings", ()):
        console.print(f"  [yellow]warning[/yellow]: {escape(warning)}", soft_wrap=True)
    for target in manifest.targets:
        console.print(
            f"  {target.name}, {target.runtime} {target.runtime_version}: training takes about "
            f"{target.peak_memory_bytes / 1e6:.0f} MB at its peak"
        )


def show_tuning(console: Console, artifact: Artifact, path: str, tuning: TuningFile) -> None:
    """Prints how many of a model's operations a tuning file knows."""
    problems = [lowering.problem for lowering in artifact.manifest.lowerings]
    known = {measurement.problem for measurement in tuning.measurements}
    found = sum(problem in known for problem in problems)
    text = f"  {escape(path)} was measured for {found} of {len(problems)} operations"
    if not found:
        text = f"[yellow]{text}[/yellow]: it has no effect; tune this model at this batch size"
    console.print(text)


def _agreement(runs: Sequence[Mapping[str, Any]]) -> str:
    """How well the updates of the worst variable agreed, as the end of a sentence."""
    worst = max(run["update"] for run in runs)
    text = f"to {worst:.0e}" if worst else "within float32's rounding"
    precise = [run["float64"] for run in runs if run.get("float64") is not None]
    return f"{text}, gradients in float64 to {max(precise):.0e}" if precise else text


def show_savings(console: Console, saved: Savings) -> None:
    """Prints what a step costs with everything trained, and as asked."""
    before, after = saved.unfrozen, saved.frozen
    table = Table("a training step", title="What freezing saves", title_justify="left")
    for heading in ("trains all", "as asked", "ratio"):
        table.add_column(heading, justify="right")
    rows = (
        ("MFLOP", before.flops / 1e6, after.flops / 1e6),
        ("activations, MB", before.arena_bytes / 1e6, after.arena_bytes / 1e6),
        ("graph and constants, MB", before.file_bytes / 1e6, after.file_bytes / 1e6),
        ("time on this machine, ms", before.step_ms, after.step_ms),
    )
    for label, unfrozen, frozen in rows:
        ratio = f"{frozen / unfrozen:.2f}" if unfrozen else "-"
        table.add_row(label, f"{unfrozen:.2f}", f"{frozen:.2f}", ratio)
    console.print(table)

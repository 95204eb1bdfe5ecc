"""What `tfplus tile train` tells of a training: step by step, of lost devices, and in the end."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from tfplus.cli.output import stderr_console
from tfplus.tiles.grid import Grid

if TYPE_CHECKING:
    from tfplus.fleet.tiles.training import Lost, Outcome, Step


def progress(step: Step, total: int, epochs: int) -> str:
    """A step that was applied."""
    waits = (
        f"compute {step.compute_s:.2f} s, halo {step.halo_s:.2f} s, reduce {step.reduce_s:.2f} s"
    )
    return (
        f"epoch {step.epoch}/{epochs}, step {step.number}/{total}: loss "
        f"{step.metrics['loss']:.4f}, {waits}"
    )


def tell(lost: Lost) -> None:
    """Says that devices went away."""
    step = "was applied" if lost.applied else "is computed anew"
    stderr_console().print(
        Text(f"{', '.join(lost.addresses)} went away: step {lost.step} {step}, {lost.left} devices "
             "go on")
    )  # fmt: skip


def summary(outcome: Outcome, *, with_memory: bool) -> dict[str, Any]:
    """What came of a training, for a program.

    Args:
      outcome: of it.
      with_memory: also what devices took; false where they ran other plans before, whose peak is
        part of it.
    """
    steps = outcome.steps
    count = max(len(steps), 1)
    return {
        "steps": len(steps),
        "epochs": [_epoch(steps, e) for e in sorted({s.epoch for s in steps})],
        "seconds_per_step": {
            "whole": sum(s.seconds for s in steps) / count,
            "compute": sum(s.compute_s for s in steps) / count,
            "halo": sum(s.halo_s for s in steps) / count,
            "reduce": sum(s.reduce_s for s in steps) / count,
        },
        "sent_bytes_per_step": steps[-1].sent_bytes if steps else 0,
        "memory_bytes": list(steps[-1].memory_bytes) if steps and with_memory else [],
        "devices_equal": outcome.equal,
        "lost": [dataclasses.asdict(lost) for lost in outcome.lost],
    }


def _epoch(steps: list[Step], epoch: int) -> dict[str, Any]:
    own = [s for s in steps if s.epoch == epoch]
    samples = sum(s.valid for s in own)
    names = sorted(own[0].metrics, key=lambda name: (name != "loss", name))
    return {
        "epoch": epoch,
        **{n: sum(s.metrics[n] * s.valid for s in own) / samples for n in names},
    }


def show(console: Console, result: dict[str, Any]) -> None:
    """The result for a person."""
    lines = [
        f"{result['model']}: {result['steps']} steps on {result['devices']} devices, grid "
        f"{Grid(result['rows'], result['columns']).cut}, groups {result['groups']}"
    ]
    for epoch in result["epochs"]:
        shown = ", ".join(f"{n} {v:.4f}" for n, v in epoch.items() if n != "epoch")
        lines.append(f"  epoch {epoch['epoch']}: {shown}")
    seconds = result["seconds_per_step"]
    lines.append(
        f"  a step took {seconds['whole']:.3f} s: slowest device computed "
        f"{seconds['compute']:.3f}, waited {seconds['halo']:.3f} for halos, "
        f"{seconds['reduce']:.3f} for sums"
    )
    lines.append(f"  {result['sent_bytes_per_step'] / 1e6:.2f} MB between devices a step")
    used = ", ".join(f"{b / 1e6:.1f}" for b in result["memory_bytes"])
    limit = result["memory_limit_bytes"]
    held = "no limit" if limit is None else f"limit {limit / 1e6:.1f} MB, " + (
        "enforced by the kernel" if result["memory_limit_enforced"] else "not enforced"
    )  # fmt: skip
    if used:
        lines.append(f"  memory of each device beyond an idle one: {used} MB ({held})")
    same = "the same bits" if result["devices_equal"] else "DIFFERENT WEIGHTS"
    lines.append(f"  all devices have {same}")
    if result["comparison"] is not None:
        compared = result["comparison"]
        lines.append(
            f"  weights differ from untiled training with Keras by "
            f"{compared['max_relative_difference']:.1e}; Keras from Keras, started with other last "
            f"bits, by {compared['keras_from_other_last_bits']:.1e}"
        )
    console.print(Text("\n".join(lines)))

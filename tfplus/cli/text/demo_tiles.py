"""`tfplus demo --tiles` as lines on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from tfplus.cli.output import print_json


def show(folder: Path, console: Console, *, seed: int, as_json: bool) -> None:
    """Runs the demo, writes result.json, and says what came of it.

    Args:
      folder: of the run.
      console: for progress and the summary.
      seed: of weights and the order of samples.
      as_json: print result.json, too.
    """
    from tfplus.demo.run import write_result
    from tfplus.demo.tiles import TileOptions, run

    def phase(name: str) -> None:
        console.print(f"{name} …", markup=False)

    result = run(folder, TileOptions(seed=seed), phase)
    write_result(folder, result)
    if as_json:
        print_json(result)
    console.print(summary(result), markup=False, soft_wrap=True)
    console.print(str(folder / "result.json"), markup=False)


def summary(result: Mapping[str, Any]) -> str:
    """What the demo came to."""
    together, alone = result["together"], result["alone"]
    held = "enforced by the kernel" if result["memory_enforced"] else "NOT enforced on this system"
    one = f"failed: {alone['error']}" if "error" in alone else "trained all the same"
    used = ", ".join(f"{size / 1e6:.0f}" for size in together["memory_bytes"])
    learned = ", ".join(f"{epoch['accuracy']:.1%}" for epoch in together["epochs"])
    seconds, compared = together["seconds_per_step"], together["comparison"]
    return (
        f"\nA CNN on {result['memory']} a device ({held}):\n"
        f"  one device alone  {one}\n"
        f"  {result['devices']} devices         {together['steps']} steps, {learned} right by "
        f"epoch; they took {used} MB\n"
        f"  a step            {seconds['whole']:.2f} s, of which {seconds['compute']:.2f} "
        f"computing, {seconds['halo']:.2f} waiting for halos, {seconds['reduce']:.2f} for sums; "
        f"{together['sent_bytes_per_step'] / 1e6:.1f} MB between devices\n"
        f"  against Keras     weights differ by {compared['max_relative_difference']:.1e}; Keras' "
        f"own, started with other last bits, by {compared['keras_from_other_last_bits']:.1e}; all "
        f"devices equal: {'yes' if together['devices_equal'] else 'NO'}\n"
        f"{result['seconds']:.0f} s in all"
    )

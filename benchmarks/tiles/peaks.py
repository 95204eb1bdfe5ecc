"""Peak memory of processes that train with tiles, and of one that trains without."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from support.timed_process import TimedProcess

from tfplus.fleet.clients.tiles_client import TilesClient
from tfplus.fleet.local_devices import LocalDevices
from tfplus.fleet.tiles import training as tile_training
from tfplus.fleet.tiles.training import Samples
from tfplus.measure.alternation import Limit
from tfplus.tiles.grid import Tiling
from tfplus_export.pipeline import train_graph
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source
from tfplus_export.tiles.trained import TiledTraining

# The second one allocates nothing new.
STEPS = 2
_STEP_OF_FILE = Path(__file__).parents[1] / "systems" / "step_of_file.py"


@dataclass(frozen=True)
class Peaks:
    """What came of a few steps.

    Attributes:
      beyond_idle_bytes: by device, its largest resident set beyond what it had before the plan.
      resident_bytes: by device, its largest resident set, Python and the runtime included.
      sent_bytes: of all devices in a step, without envelopes.
      losses: of the steps.
    """

    beyond_idle_bytes: tuple[int, ...]
    resident_bytes: tuple[int, ...]
    sent_bytes: int
    losses: tuple[float, ...]


def of_tiles(
    training: TiledTraining, tiling: Tiling, batch: int, tell: Callable[[str], None]
) -> Peaks:
    """Trains by a plan for a few steps on random samples, each device a process of its own."""
    files = training.files(tiling, batch, tell)
    rows, columns, channels = tiling.chain.maps()[0]
    rng = np.random.default_rng(0)
    x = rng.random((batch * STEPS, rows, columns, channels), np.float32)
    labels = rng.integers(0, training.tiled.model.outputs[0].shape[-1], len(x)).astype(np.int32)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        local = stack.enter_context(LocalDevices(tiling.grid.tiles, None, folder))
        clients = [stack.enter_context(TilesClient(d.address)) for d in local.devices]
        outcome = tile_training.train(
            clients, files, Samples(lambda i: x[i], labels, "y"), epochs=1, seed=0,
            replan=_lost, on_step=lambda step: None, on_loss=lambda lost: None,
        )  # fmt: skip
        resident = tuple(_peak_bytes(d.process.pid) for d in local.devices)
    return Peaks(
        outcome.steps[-1].memory_bytes,
        resident,
        outcome.steps[-1].sent_bytes,
        tuple(step.metrics["loss"] for step in outcome.steps),
    )


def untiled(loaded: Source, batch: int, tell: Callable[[str], None]) -> int:
    """Largest resident set of a process that trains the whole network by the exported step."""
    built = train_graph.build(loaded, loaded.model, Options(batch_size=batch), tell)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.tflite"
        path.write_bytes(built.content)
        command = [sys.executable, str(_STEP_OF_FILE), str(path), "1"]
        with TimedProcess("untiled", command) as process:
            process.start()
            process.run(Limit(STEPS))
            return process.peak_rss_bytes or 0


def _lost(left: int) -> NoReturn:
    raise SystemExit(f"a device went away, {left} are left: is the memory of this machine short?")


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0

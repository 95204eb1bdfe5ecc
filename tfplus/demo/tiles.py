"""The demo of tiles: three devices train one CNN that none of them can train whole.

The devices are processes of this machine, held to their memory by the kernel where it can. One
device alone is given the same memory and fails; three of them train, and come to the weights that
Keras comes to with the whole model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.demo import digits
from tfplus.errors import ExportError, MissingExtraError
from tfplus.system import child_process

_MODEL = "zoo:large-digits"
# Digits of 8×8 are enlarged, so that maps are larger than weights.
_SIZE = 32
# Of a pixel, 0 to 1: as a camera has it.
_NOISE = 0.05
_OPTIMIZER, _RATE = "adam", 0.002
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class TileOptions:
    """What the demo of tiles does.

    Attributes:
      devices: how many train together.
      batch_size: samples of a step.
      samples: digits that are trained on.
      epochs: passes over them.
      memory: of a device beside an idle one, as `tfplus tile train --memory` takes it.
      seed: of weights and the order of samples.
    """

    devices: int = 3
    batch_size: int = 32
    samples: int = 640
    epochs: int = 2
    memory: str = "67MB"
    seed: int = 0


def run(folder: Path, options: TileOptions, phase: Callable[[str], None]) -> dict[str, Any]:
    """Runs the demo in a folder, and returns what came of it, as `result.json` has it.

    Raises:
      ExportError: a training failed that should not.
      MissingExtraError: a package of the extra `demo` is not installed.
    """
    began = time.monotonic()
    data = folder / "digits.npz"
    chosen = digits.load()
    rng = np.random.default_rng(options.seed)
    taken = chosen.take(rng.permutation(len(chosen.y))[: options.samples])
    np.savez(data, x=enlarged(taken.x, rng), y=taken.y)
    phase(f"one device alone, held to {options.memory}")
    alone = _train(options, data, 1, "--process-memory", options.memory)
    phase(
        f"{options.devices} devices, held to {options.memory} each; then Keras on the whole model"
    )
    weights = folder / "weights.safetensors"
    together = _train(
        options, data, options.devices, "--process-memory", options.memory, "--compare",
        "--weights-out", str(weights),
    )  # fmt: skip
    if "error" in together:
        raise ExportError(f"the training with tiles failed: {together['error']}")
    return {
        "devices": options.devices,
        "memory": options.memory,
        "memory_enforced": together["memory_limit_enforced"],
        "alone": alone,
        "together": together,
        "seconds": time.monotonic() - began,
    }


def enlarged(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Digits as images of 32×32: linear between their pixels, with a little noise.

    Without noise their background is 0 everywhere. Which of equal neighbours is the largest of a
    pooling's window is then decided by the last bit of a product, in each kernel in another way,
    and trainings on one device and on several differ by more than by rounding.

    Args:
      x: [n, 8, 8, 1], 0 to 16.
      rng: of the noise.

    Returns:
      float32 [n, 32, 32, 1], 0 to 1 but for the noise.
    """
    old, new = np.arange(x.shape[1]), np.linspace(0, x.shape[1] - 1, _SIZE)
    # Row i: how much of each old pixel is in the new pixel i.
    weights = np.stack([np.interp(new, old, row) for row in np.eye(len(old))], axis=1)
    large = np.einsum("ih,nhwc,jw->nijc", weights, x / 16, weights)
    return (large + rng.normal(scale=_NOISE, size=large.shape)).astype(np.float32)


def _train(options: TileOptions, data: Path, devices: int, *more: str) -> Mapping[str, Any]:
    """What a training came to; `error`, why it failed."""
    arguments = (
        *("tile", "train", _MODEL, "--data", str(data), "--local", str(devices), "--json"),
        *("--batch-size", str(options.batch_size), "--epochs", str(options.epochs)),
        *("--optimizer", _OPTIMIZER, "--learning-rate", str(_RATE)),
        *("--seed", str(options.seed), *more),
    )
    ended = child_process.run("tfplus", *arguments, timeout_s=_TIMEOUT_S)
    if ended.returncode == MissingExtraError.exit_code:
        raise MissingExtraError.of("tfplus demo --tiles", "demo")
    if ended.returncode != 0:
        said = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        return {"error": said[-1].removeprefix("error: ") if said else ended.stderr[-300:].strip()}
    return json.loads(ended.stdout)

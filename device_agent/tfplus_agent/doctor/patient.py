"""What is trained to try a device: a model, one batch, and what should come of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from tfplus import artifact
from tfplus.artifact import Artifact
from tfplus.manifest import Manifest
from tfplus.slices import Tensor
from tfplus_agent.data import SAMPLE_WEIGHT

STEPS = 2
_PROBE = Path(__file__).parents[1] / "probe"
# Rows of a table that nobody says the size of.
_NUMBERS = 2


@dataclass(frozen=True)
class State:
    """Where a step led.

    Attributes:
      loss: before the update.
      variables: name → array after it; of the expected state perhaps the weights alone.
    """

    loss: float
    variables: dict[str, Tensor]


@dataclass(frozen=True)
class Patient:
    """A model to try a device with.

    Attributes:
      read: the exported file.
      batch: as `train` takes it.
      samples: the same as a data set of the agent holds it.
      expected: after `STEPS` steps on the batch, by TensorFlow; None where nobody knows.
    """

    read: Artifact
    batch: dict[str, Tensor]
    samples: dict[str, Tensor]
    expected: State | None

    def batch_of(self, epoch: int) -> dict[str, Tensor]:
        """The batch in the order in which a worker with seed 0 takes its rows in an epoch.

        A model that draws noise row by row then draws the same on every accelerator.
        """
        order = np.random.default_rng([0, epoch]).permutation(self.read.manifest.batch_size)
        return {name: values[order] for name, values in self.batch.items()}


def probe() -> Patient:
    """The small model that comes with the agent.

    Raises:
      ArtifactError: the installation is damaged.
    """
    read = artifact.read(_PROBE / "model.tflite")
    held = load_file(_PROBE / "steps.safetensors")
    batch, after = (
        {n.removeprefix(kind): t for n, t in held.items() if n.startswith(kind)}
        for kind in ("batch/", "after/")
    )
    return Patient(read, batch, batch, State(float(held["loss"][STEPS - 1]), after))


def of_file(path: Path) -> Patient:
    """A user's own model, on random samples.

    Raises:
      ArtifactError: it is no exported file.
    """
    read = artifact.read(path)
    manifest = read.manifest
    rng = np.random.default_rng(0)
    batch = {n: _input(manifest, n, rng) for n in manifest.inputs}
    samples = dict(batch)
    given = manifest.signatures["train"].inputs
    for output in manifest.outputs:
        info = given[output.target]
        if output.targets != "label":
            values: Any = rng.random(info.shape, np.float32)
            if output.targets == "binary":
                values = np.round(values)
            batch[output.target] = samples[output.target] = values
            continue
        count = manifest.signatures["infer"].outputs[output.prediction].shape[-1]
        index = rng.integers(0, count, info.shape).astype(np.int32)
        batch[output.target] = samples[output.target] = index
        if manifest.classes:
            samples[output.target] = np.asarray(manifest.classes)[index]
    if SAMPLE_WEIGHT in given:
        batch[SAMPLE_WEIGHT] = samples[SAMPLE_WEIGHT] = np.ones(
            given[SAMPLE_WEIGHT].shape, np.float32
        )
    return Patient(read, batch, samples, None)


def _input(manifest: Manifest, name: str, rng: np.random.Generator) -> Tensor:
    info = manifest.signatures["train"].inputs[name]
    if info.dtype == "int32":
        size = manifest.vocabularies.get(name) or _NUMBERS
        return rng.integers(0, size, info.shape).astype(np.int32)
    return rng.random(info.shape, np.float32)

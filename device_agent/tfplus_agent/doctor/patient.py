"""What is trained to try a device: a model, one batch, and what should come of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from tfplus.model_file import artifact, random_samples
from tfplus.model_file.artifact import Artifact
from tfplus.tensors.slices import Tensor

STEPS = 2
_PROBE = Path(__file__).parent / "probe"


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
    batch = random_samples.of(manifest, "train")
    samples = dict(batch)
    for output in manifest.outputs:
        if output.targets == "label" and manifest.classes:
            index = batch[output.target].astype(np.int32)
            samples[output.target] = np.asarray(manifest.classes)[index]
    return Patient(read, batch, samples, None)

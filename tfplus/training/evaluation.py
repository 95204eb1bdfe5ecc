"""How good a model is on samples that it does not learn from."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.data import device_data
from tfplus.data.device_data import Dataset
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.training.scoring import score


@dataclass(frozen=True)
class Evaluation:
    """What evaluation data say of a model.

    Attributes:
      samples: all samples.
      known_samples: of classes that the model has.
      sums: of each metric over all samples, by name; a sample of a class that the model lacks
        counts as wrong.
    """

    samples: int
    known_samples: int
    sums: dict[str, float]

    @property
    def means(self) -> dict[str, float]:
        """Of each metric over all samples, by name."""
        return {name: total / self.samples for name, total in self.sums.items()}


def evaluate(model: TrainableModel, samples: Dataset) -> Evaluation:
    """Measures every metric of a model.

    Args:
      model: an open model.
      samples: at least one.

    Raises:
      WorkerError: the accelerator failed.
    """
    manifest = model.manifest
    sums = {output.metric: 0.0 for output in manifest.outputs}
    known = len(samples)
    for batch in device_data.batches(samples, manifest, manifest.infer_batch_size):
        predictions = model.infer(batch.inputs)
        for output in manifest.outputs:
            found, wanted = predictions[output.name], batch.targets[output.target]
            scores = score(output, found[: batch.valid], wanted[: batch.valid])
            sums[output.metric] += float(scores.sum())
    for output in manifest.outputs:
        if manifest.classes and output.targets == "label":
            known = int((samples.targets[output.target] >= 0).sum())
    return Evaluation(len(samples), known, sums)

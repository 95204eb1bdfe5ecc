"""How good a model is on samples that it does not learn from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tfplus.data import device_data
from tfplus.data.device_data import Dataset
from tfplus.model_file.manifest import Manifest
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.training.losses import batch_loss
from tfplus.training.scoring import score
from tfplus.training.stepping import LOSS


@dataclass(frozen=True)
class Evaluation:
    """What evaluation data say of a model.

    Attributes:
      samples: all samples.
      known_samples: of classes that the model has.
      sums: of each metric over all samples, by name; a sample of a class that the model lacks
        counts as wrong.
      losses: Keras' `loss`, and of several outputs the loss of each, by name. What regularizers add
        is among it unless it depends on the samples.
    """

    samples: int
    known_samples: int
    sums: dict[str, float]
    losses: dict[str, float] = field(default_factory=dict[str, float])

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
    losses = {output.name: 0.0 for output in manifest.outputs}
    known = len(samples)
    for batch in device_data.batches(samples, manifest, manifest.infer_batch_size):
        predictions = {n: v[: batch.valid] for n, v in model.infer(batch.inputs).items()}
        for output in manifest.outputs:
            wanted = batch.targets[output.target][: batch.valid]
            sums[output.metric] += float(score(output, predictions[output.name], wanted).sum())
            losses[output.name] += batch_loss(output, predictions, wanted) * batch.valid
    for output in manifest.outputs:
        if manifest.classes and output.targets == "label":
            known = int((samples.targets[output.target] >= 0).sum())
    means = {name: total / len(samples) for name, total in losses.items()}
    weighted = sum(o.loss_weight * means[o.name] for o in manifest.outputs)
    named = {f"{name}_{LOSS}": value for name, value in means.items() if len(means) > 1}
    return Evaluation(len(samples), known, sums, {LOSS: weighted + _penalty(model), **named})


def measured_names(manifest: Manifest) -> set[str]:
    """Names of all that an evaluation of a model measures."""
    names = {LOSS} | {output.metric for output in manifest.outputs}
    if len(manifest.outputs) > 1:
        names |= {f"{output.name}_{LOSS}" for output in manifest.outputs}
    return names


def _penalty(model: TrainableModel) -> float:
    """What regularizers add to the loss: that of a step whose rows are all padding."""
    manifest = model.manifest
    if not manifest.regularization:
        # There are none, or it is not known what they add without samples.
        return 0.0
    padding = {output.target: output.padding for output in manifest.outputs}
    batch: dict[str, npt.NDArray[np.generic]] = {
        name: np.full(info.shape, padding.get(name, 0), info.dtype)
        for name, info in manifest.signatures["train"].inputs.items()
    }
    before = model.save()
    try:
        model.step(batch)
        return model.metrics()[LOSS]
    finally:
        model.restore(before)

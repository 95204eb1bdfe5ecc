"""Stage `samples`: the user's own samples, the labels, and which values inputs are made for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export.parity.samples import real_data
from tfplus_export.parity.samples.real_data import RealSamples
from tfplus_export.pipeline.manifest import declared, manifest_fields
from tfplus_export.pipeline.stages.request import Request
from tfplus_export.train_step.training import Training


@dataclass(frozen=True)
class Samples:
    """What is known of the model's data.

    Attributes:
      classes: labels of the only output, if it is the choice of a class.
      real: the user's own samples, if any.
      preprocessing: what becomes of stored samples, and which values are expected.
    """

    classes: tuple[int, ...]
    real: RealSamples | None
    preprocessing: Preprocessing


def samples_of(asked: Request, step: Training) -> Samples:
    """Reads samples, and declares the values that inputs are made for.

    Args:
      asked: what to export.
      step: the training step.

    Raises:
      UsageError: the model has no classes, but some are named.
      DataError: a sample is not what the step takes.
    """
    options, preprocessing = asked.options, asked.source.preprocessing
    classes = manifest_fields.class_labels(step, asked.classes)
    real = None
    if options.data is not None:
        real = real_data.load(options.data, step, classes, preprocessing, options.scaling)
        preprocessing = real.preprocessing
    elif options.scaling is not None:
        preprocessing = options.scaling.declared_in(preprocessing, floats=False)
    expects = declared.ranges(step.train_graph, preprocessing, real)
    return Samples(classes, real, dataclasses.replace(preprocessing, expects=expects))

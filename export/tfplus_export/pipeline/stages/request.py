"""What an export begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source


@dataclass(frozen=True)
class Request:
    """A model to export.

    Attributes:
      source: where the model comes from.
      model: the source's own, or a sub-model of it.
      classes: labels of its outputs in order; None where nobody named them.
      path: where the file goes.
      options: how.
    """

    source: Source
    model: keras.Model
    classes: tuple[int, ...] | None
    path: Path
    options: Options

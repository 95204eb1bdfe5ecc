"""The stages of an export by name, and how one is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from tfplus_export.pipeline.stages.failures import guarded
from tfplus_export.pipeline.stages.options import Progress

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """A stage's name.

    Attributes:
      name: one word.
      doing: what it does, for the progress display and for errors.
    """

    name: str
    doing: str


CHECK = Stage("check", "looking at the model")
TRACE = Stage("trace", "tracing the training step")
CONVERT = Stage("convert", "converting to TFLite operators")
SCHEDULE = Stage("schedule", "ordering its operators")
FILL = Stage("fill", "filling in initial values")
LIMITS = Stage("limits", "checking memory and targets")
SAMPLES = Stage("samples", "reading what its inputs are")
COMPARE = Stage("compare", "comparing steps with TensorFlow")
ACCELERATE = Stage("accelerate", "converting for accelerators and comparing with the CPU")
BAKE = Stage("bake", "converting inference with constant weights")
FEATURES = Stage("features", "converting the frozen layers and comparing with Keras")
DESCRIBE = Stage("describe", "writing the manifest")
WRITE = Stage("write", "writing the file")

# In the order in which `driver.run` runs them.
STAGES = (
    *(CHECK, TRACE, CONVERT, SCHEDULE, FILL, LIMITS, SAMPLES),
    *(COMPARE, ACCELERATE, BAKE, FEATURES, DESCRIBE, WRITE),
)


class Run:
    """Runs stages, tells which one is under way, and names it where it fails.

    Args:
      progress: told what is being done.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(
        self, stage: Stage, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Runs one stage.

        Args:
          stage: its name.
          function: what it does.
          *args: of the function.
          **kwargs: of the function.

        Raises:
          UnexpectedExportError: it failed with an exception that is none of ours.
        """
        self._progress(stage.doing)
        with guarded(stage.doing):
            return function(*args, **kwargs)

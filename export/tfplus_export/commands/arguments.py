"""Arguments that several commands take, and the model that they name."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.decoupling import plan_folder
from tfplus_export.commands.values import class_labels, numbers

if TYPE_CHECKING:
    from tfplus_export.sources.source import Source

SourceName = Annotated[
    str,
    typer.Argument(
        help="zoo:NAME, a .keras file, the folder of a plan, or package.module:function"
    ),
]
InputShape = Annotated[
    str | None, typer.Option(help="One sample, such as 32,32,3 (zoo and functions).")
]
Classes = Annotated[
    str | None, typer.Option(help="Number of classes, or their labels in order, such as 9,0,1.")
]
FreezeLayers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LAYERS",
        help="Do not train a layer, by name, pattern ('block1_*') or number of layers from the "
        "input. Repeatable.",
        rich_help_panel="What trains",
    ),
]
TrainLayers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="bias|last:K",
        help="Train the biases alone, or the last K layers with weights. Repeatable.",
        rich_help_panel="What trains",
    ),
]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run the code that a .keras file holds (Lambda).")
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", help="Where an operation has no rule, list the operations that have one."
    ),
]


@dataclass(frozen=True)
class ModelArguments:
    """Which model a command is for.

    Attributes:
      name: a `SourceName`.
      input_shape: one sample; None where the source has its own.
      classes: labels in the order of the logits, likewise.
      trust_code: whether code in a `.keras` file may run.
    """

    name: str
    input_shape: tuple[int, ...] | None
    classes: tuple[int, ...] | None
    trust_code: bool

    @classmethod
    def read(
        cls, name: str, input_shape: str | None, classes: str | None, *, trust_code: bool
    ) -> ModelArguments:
        """Reads what the user wrote, before TensorFlow is imported.

        Raises:
          UsageError: the shape or the classes are not understood.
        """
        shape = None if input_shape is None else numbers("--input-shape", input_shape)
        # The classes of a plan are known: one number is one of them.
        is_plan = plan_folder.is_plan(Path(name))
        read_labels = functools.partial(numbers, "--classes") if is_plan else class_labels
        labels = None if classes is None else read_labels(classes)
        return cls(name, shape, labels, trust_code)

    def load(
        self, *, seed: int = 0, replace_optimizer: bool = False, replace_loss: bool = False
    ) -> Source:
        """Loads or builds the model; see `sources.source.load`."""
        from tfplus_export.sources import source as sources

        return sources.load(
            self.name,
            input_shape=self.input_shape,
            classes=self.classes,
            seed=seed,
            replace_optimizer=replace_optimizer,
            replace_loss=replace_loss,
            trust_code=self.trust_code,
        )

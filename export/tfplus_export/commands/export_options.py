"""The options of `tfplus export`, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfplus.errors import UsageError
from tfplus.model_file.storage import Storage

_OPTIMIZER = "Optimizer"
_DEVICE = "The device"

Output = Annotated[Path, typer.Option("--output", "-o", help="The .tflite file to write.")]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Samples in a training step; 32, or what fits --memory-budget, if not given.",
    ),
]
InferBatchSize = Annotated[
    int | None, typer.Option(min=1, help="Samples in one infer; as --batch-size if not given.")
]
SubModel = Annotated[
    list[str] | None,
    typer.Option(help="NAME=LABELS: also write the sub-model of these classes. Repeatable."),
]
Loss = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="As Keras names it, such as mse or binary_crossentropy; for every output, instead "
        "of the compiled one.",
    ),
]
SampleWeights = Annotated[
    bool,
    typer.Option(
        "--sample-weights", help="Add the input sample_weight to train, one for each sample."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DATA",
        help="Samples of your own, in any form that devices take, such as an .npz with arrays "
        "named as the arguments of train (x and y): the comparison runs on them too, and devices "
        "are told when theirs have another range.",
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        metavar="FACTOR",
        help="The model takes value * FACTOR + OFFSET of a stored value, such as 1/255 of a "
        "pixel. Values stored as floats are taken as they are, unless those of --data are floats.",
    ),
]
Offset = Annotated[str | None, typer.Option(metavar="OFFSET", help="See --scale; 0 if not given.")]
Optimizer = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="sgd, adam, adamw or rmsprop; the compiled one, or sgd, if not given.",
        rich_help_panel=_OPTIMIZER,
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        help="Initial rate; as compiled, or Keras' default, if not given.",
        rich_help_panel=_OPTIMIZER,
    ),
]
Momentum = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Of sgd or rmsprop.", rich_help_panel=_OPTIMIZER),
]
Nesterov = Annotated[
    bool,
    typer.Option("--nesterov", help="Look ahead: sgd with momentum.", rich_help_panel=_OPTIMIZER),
]
WeightDecay = Annotated[
    float | None,
    typer.Option(min=0.0, help="Decoupled from the gradient; 0: none.", rich_help_panel=_OPTIMIZER),
]
ClipNorm = Annotated[
    float | None,
    typer.Option(
        min=0.0, help="Largest norm of each weight's gradient.", rich_help_panel=_OPTIMIZER
    ),
]
ClipGlobalNorm = Annotated[
    float | None,
    typer.Option(
        min=0.0, help="Largest norm of all gradients together.", rich_help_panel=_OPTIMIZER
    ),
]
ClipValue = Annotated[
    float | None,
    typer.Option(min=0.0, help="Largest element of a gradient.", rich_help_panel=_OPTIMIZER),
]
FrozenShared = Annotated[
    bool,
    typer.Option(
        "--frozen-shared",
        help="Train the branches of classes alone, not the layers that they share.",
        rich_help_panel="What trains",
    ),
]
Cached = Annotated[
    bool,
    typer.Option(
        "--cached",
        help="Freeze the layers that classes share, and keep on the device what they make of each "
        "sample: after the first epoch a step is that of the branches alone.",
        rich_help_panel="What trains",
    ),
]
Split = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LAYER",
        help="Freeze the model up to this layer, and keep on the device what it makes of each "
        "sample: after the first epoch a step is that of the layers behind it alone. Repeatable, "
        "from the input on: what was kept behind an earlier one is gone on from.",
        rich_help_panel="What trains",
    ),
]
Trained = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Start from these weights, a .safetensors with every weight of the model, as `tfplus "
        "train` writes it.",
        rich_help_panel="What trains",
    ),
]
Neighbour = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|HOST:PORT",
        help="With a plan: start from what this device has learned, where it holds a slice; the "
        "rest is the plan's. Repeatable: slices that several hold are averaged.",
        rich_help_panel="What trains",
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        metavar="pi|pixel|host",
        help="Hold the file to what this device takes; host if not given. Repeatable.",
        rich_help_panel=_DEVICE,
    ),
]
Runtime = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ai-edge-litert|tflite-runtime",
        help="The device's runtime; ai-edge-litert if not given. Repeatable.",
        rich_help_panel=_DEVICE,
    ),
]
MemoryBudget = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Such as 512MB: choose the largest batch whose step fits; with --batch-size, "
        "check that it fits.",
        rich_help_panel=_DEVICE,
    ),
]
Accelerator = Annotated[
    list[str] | None,
    typer.Option(
        metavar="gpu",
        help="Add a graph of the step without variables, as an accelerator takes it, checked "
        "on one where this machine has it.",
        rich_help_panel=_DEVICE,
    ),
]
Tuning = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Take the lowerings that `tfplus tune` measured to be fastest on a device.",
        rich_help_panel=_DEVICE,
    ),
]
Freezable = Annotated[
    bool,
    typer.Option(
        "--freezable",
        help="Add a graph of inference alone, which `tfplus freeze` writes trained weights "
        "into; it adds some kilobytes.",
        rich_help_panel=_DEVICE,
    ),
]
Weights = Annotated[
    Storage,
    typer.Option(
        help="How initial values are stored, at a half or a quarter of the size; they train "
        "in float32 either way.",
        rich_help_panel=_DEVICE,
    ),
]
ParitySteps = Annotated[
    int, typer.Option(min=1, help="Training steps that are compared with TensorFlow.")
]
Seed = Annotated[
    int,
    typer.Option(min=0, max=2**32 - 1, help="Of initial weights and of the comparison."),
]
Timings = Annotated[
    bool,
    typer.Option("--timings", help="Print how long each stage took; --json always says so."),
]


def check_cached(option: str, **options: object) -> None:
    """Refuses what does not go with `--cached` and `--split`.

    Args:
      option: which of them was given.
      **options: name of an option → what was given.

    Raises:
      UsageError: one was given.
    """
    given = next((name for name, value in options.items() if value), None)
    if given is not None:
        raise UsageError(
            f"{option} with --{given.replace('_', '-')}: expected one of the two: the step takes "
            "what the frozen layers make of samples, and trains what is behind them alone"
        )

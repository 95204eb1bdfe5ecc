"""Options of a training that say how it learns, and when it has learned enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.cli import quantities
from tfplus.errors import UsageError

if TYPE_CHECKING:
    from tfplus.proto.v1 import agent_pb2 as pb

LearningRate = Annotated[
    float | None, typer.Option(min=0, help="Instead of the one that the model has.")
]
ScheduleText = Annotated[
    str,
    typer.Option(
        "--schedule",
        help="What becomes of the learning rate: linear:to=0.1, cosine:to=0.01, "
        "exponential:factor=0.95 (an epoch), step:every=10,factor=0.5 (epochs); each with "
        "warmup=STEPS.",
    ),
]
ValidateEpochs = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Measure after every so many epochs.")
]
ValidateSteps = Annotated[
    int, typer.Option(min=0, max=2**53, help="Measure after every so many steps.")
]
Patience = Annotated[
    int | None,
    typer.Option(min=0, max=2**31, help="End after so many measurements without a better one."),
]
Monitor = Annotated[str, typer.Option(help="What must get better: loss or a metric.")]
MinDelta = Annotated[float, typer.Option(min=0, help="By how much, to count.")]
RestoreBest = Annotated[
    bool, typer.Option("--restore-best", help="End with the weights of the best measurement.")
]


MaxTime = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="End with what it has after so long at work, as 45m or 2h."),
]
MaxEnergy = Annotated[
    str | None,
    typer.Option(
        metavar="ENERGY",
        help="Or after so much energy, as 20kJ or 5Wh; refused where no sensor tells it.",
    ),
]


def spec_of(
    *,
    epochs: int,
    steps: int,
    seed: int,
    learning_rate: float | None,
    schedule: str,
    validate_epochs: int,
    validate_steps: int,
    patience: int | None,
    monitor: str,
    min_delta: float,
    restore_best: bool,
    max_time: str | None,
    max_energy: str | None,
) -> pb.JobSpec:
    """What a training is to do, as a job says it.

    Raises:
      UsageError: it makes no sense, as far as that can be said without a model.
    """
    from tfplus.proto.v1 import agent_pb2 as pb
    from tfplus.training import schedule as schedules

    schedules.parse(schedule)
    if patience is not None and not (validate_epochs or validate_steps):
        raise UsageError("--patience counts measurements: give --validate-epochs or -steps")
    if restore_best and patience is None:
        raise UsageError("--restore-best goes with --patience: how long to wait for a better one")
    asked = pb.TrainJob(
        epochs=epochs,
        max_steps=steps,
        seed=seed,
        learning_rate=learning_rate,
        schedule=schedule,
        validate_every_epochs=validate_epochs,
        validate_every_steps=validate_steps,
    )
    if patience is not None:
        asked.early_stopping.CopyFrom(
            pb.EarlyStopping(
                monitor=monitor, patience=patience, min_delta=min_delta, restore_best=restore_best
            )
        )
    return within(pb.JobSpec(train=asked), max_time, max_energy)


def within(spec: pb.JobSpec, max_time: str | None, max_energy: str | None) -> pb.JobSpec:
    """Sets the budgets of a job.

    Raises:
      UsageError: one is none.
    """
    if max_time is not None:
        spec.max_seconds = quantities.seconds(max_time)
    if max_energy is not None:
        spec.max_joules = quantities.joules(max_energy)
    return spec

"""The command `tfplus features costs`: time, energy and bytes, by what they were spent on."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.cli.output import print_json, stdout_console
from tfplus.errors import UsageError
from tfplus_agent.commands.features.exchange import Folder, Json


@dataclass(frozen=True)
class Line:
    """What a cause took.

    Attributes:
      cause: features, training, inference, flush or pull.
      times: how often it happened.
      seconds: of time.
      cpu_s: of the processor, all cores together.
      joules: of the whole device meanwhile; None where no sensor told it for all of the time.
      sent_bytes: of messages.
      received_bytes: of messages.
    """

    cause: str
    times: int
    seconds: float
    cpu_s: float
    joules: float | None
    sent_bytes: int
    received_bytes: int


# Of the time that a sensor has to have answered for its joules to stand for the whole.
_MOST = 0.9


def costs(feature_cache: Folder, as_json: Json = False) -> None:
    """Add up what commands with this cache took, by cause.

    The causes: features (annotate), training, inference (predict), flush, pull. Joules are of the
    whole device, by a sensor that stands for it; without one the processor's seconds are what can
    be compared, and no joules are made of them.

    \b
    Examples:
      tfplus features costs --feature-cache kept/
      tfplus features costs --feature-cache kept/ --json
    """
    from rich.table import Table

    from tfplus.features import costs as kept_costs
    from tfplus.features.index import Index
    from tfplus.features.schema import NAME
    from tfplus_agent.benchmark.energy import SENSORS
    from tfplus_agent.telemetry import energy
    from tfplus_agent.telemetry.sampler import read_all

    if not (feature_cache / NAME).is_file():
        raise UsageError(f"{feature_cache}: no feature cache: expected the folder of one")
    index = Index(feature_cache)
    try:
        found = kept_costs.every(index.db)
    finally:
        index.close()
    lines = [
        Line(
            one.cause,
            one.times,
            one.seconds,
            one.cpu_s,
            one.joules if one.joules_s > _MOST * one.seconds else None,
            one.sent_bytes,
            one.received_bytes,
        )
        for one in found
    ]
    why = energy.why_none(read_all(SENSORS)) if any(one.joules is None for one in lines) else ""
    if as_json:
        print_json({"causes": lines, "no_joules": why})
        return
    table = Table("cause", "times", "s", "CPU s", "J", "sent, bytes", "received, bytes")
    for one in lines:
        joules = "not known" if one.joules is None else f"{one.joules:.1f}"
        times = f"{one.seconds:.2f}", f"{one.cpu_s:.2f}"
        moved = f"{one.sent_bytes:,}", f"{one.received_bytes:,}"
        table.add_row(one.cause, str(one.times), *times, joules, *moved)
    say = stdout_console().print
    say(table)
    if why:
        say(f"no joules, the CPU seconds stand for them: {why}", markup=False)

"""The command `tfplus features privacy`: what all sendings of a sample come to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import typer

from tfplus.cli.output import print_json, stdout_console
from tfplus.errors import UsageError
from tfplus_agent.commands.features.exchange import Folder, Json


@dataclass(frozen=True)
class Spent:
    """Samples that were sent alike.

    Attributes:
      samples: how many.
      sendings: of each.
      features_epsilon: of their features; None where some were sent as they are.
      epsilon: of features and labels; None where some were sent as they are.
      delta: of both.
    """

    samples: int
    sendings: int
    features_epsilon: float | None
    epsilon: float | None
    delta: float


def privacy(
    feature_cache: Folder,
    delta: Annotated[float, typer.Option(min=1e-300, max=0.5, help="Of (epsilon, delta).")] = 1e-5,
    as_json: Json = False,
) -> None:
    """Add up what was sent of each sample, to all servers and of all layers: (epsilon, delta).

    A sending counts from when it begins, whether it arrived or not. Samples that were sent as often
    and with the same noise are one line, those who gave away most first.

    \b
    Examples:
      tfplus features privacy --feature-cache kept/
      tfplus features privacy --feature-cache kept/ --delta 1e-6 --json
    """
    from rich.table import Table

    from tfplus.features import sendings
    from tfplus.features.index import Index
    from tfplus.features.schema import NAME
    from tfplus_agent.features import accounting

    if not (feature_cache / NAME).is_file():
        raise UsageError(f"{feature_cache}: no feature cache: expected the folder of one")
    index = Index(feature_cache)
    try:
        histories = sendings.histories(index.db)
    finally:
        index.close()

    def known(epsilon: float) -> float | None:
        return None if math.isinf(epsilon) else epsilon

    found = [
        Spent(
            samples,
            len(history),
            known(accounting.of_features(history, delta)),
            known(accounting.of_everything(history, delta)),
            delta,
        )
        for history, samples in histories.items()
    ]
    found.sort(key=lambda one: (-(one.features_epsilon or math.inf), -one.sendings))
    if as_json:
        print_json(found)
        return

    def shown(epsilon: float | None) -> str:
        return "no bound" if epsilon is None else f"{epsilon:.3g}"

    table = Table("samples", "sendings", "epsilon of features", "with labels")
    for one in found:
        epsilons = shown(one.features_epsilon), shown(one.epsilon)
        table.add_row(str(one.samples), str(one.sendings), *epsilons)
    stdout_console().print(table)
    stdout_console().print(f"at delta {delta:g}, by dp-accounting")

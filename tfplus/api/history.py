"""What `fit` returns, as Keras' `History`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class History:
    """Metrics of each epoch.

    Attributes:
      history: name, such as `loss`, `accuracy`, `val_loss` → a value for each epoch.
      epoch: the epochs, counted from 0 or from `initial_epoch`.
      warnings: where the samples are not what the model was made for.

    Examples:
        >>> from tfplus import History
        >>> history = History()
        >>> history.add(0, {"loss": 2.5, "accuracy": 0.25})
        >>> history.add(1, {"loss": 1.5, "accuracy": 0.75})
        >>> history.history["loss"]
        [2.5, 1.5]
    """

    history: dict[str, list[float]] = field(default_factory=dict[str, "list[float]"])
    epoch: list[int] = field(default_factory=list[int])
    warnings: tuple[str, ...] = ()

    def add(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Takes down what an epoch ended with."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))

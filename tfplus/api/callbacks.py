"""What is called while `fit` trains, by the names of Keras' callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tfplus.errors import UsageError

if TYPE_CHECKING:
    from tfplus.api.model import Model
    from tfplus.tensors.slices import Tensor

Logs = Mapping[str, float]


class Callback:
    """Override what you need; `self.model` is the model that is trained.

    A method gets `logs`, name → value: at the end of a batch the means of the epoch so far, at the
    end of an epoch also those of the validation data, as `val_loss`. `self.model.stop_training =
    True` ends the training after the step under way.

    Examples:
        >>> import tfplus
        >>> class Show(tfplus.Callback):
        ...     def on_epoch_end(self, epoch, logs):
        ...         print(epoch, sorted(logs))
        >>> model = tfplus.load(path)
        >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[Show()])
        0 ['accuracy', 'loss']
        1 ['accuracy', 'loss']
    """

    model: Model
    params: Mapping[str, Any]

    def set_model(self, model: Model) -> None:
        """Told before the training begins."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Told before the training begins: `epochs`, `steps`, `verbose`."""
        self.params = params

    def on_train_begin(self, logs: Logs) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs) -> None:
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch."""

    def on_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch, counted from 0 in each epoch."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """As `on_batch_begin`."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """As `on_batch_end`."""
        self.on_batch_end(batch, logs)


class EarlyStopping(Callback):
    """Stops when a value has not become smaller, or for an accuracy larger, for some epochs.

    Args:
      monitor: name among the logs.
      patience: epochs without an improvement that are allowed.
      min_delta: what is less is no improvement.
      restore_best_weights: go back to the weights, and the optimizer's state, of the best epoch.

    Examples:
        >>> import tfplus
        >>> model = tfplus.load(path)
        >>> stop = tfplus.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
        >>> history = model.fit(
        ...     x, y, epochs=3, validation_data=(x, y), callbacks=[stop], verbose=0
        ... )
        >>> len(history.epoch) <= 3
        True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 0,
        min_delta: float = 0.0,
        restore_best_weights: bool = False,
    ) -> None:
        self._monitor = monitor
        self._patience = patience
        self._min_delta = abs(min_delta)
        self._restores = restore_best_weights
        self._sign = -1.0 if monitor.endswith("accuracy") else 1.0
        self._best = float("inf")
        self._waited = 0
        self._state: Mapping[str, Tensor] | None = None

    def on_train_begin(self, logs: Logs) -> None:
        """See `Callback`."""
        self._best, self._waited, self._state = float("inf"), 0, None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """See `Callback`."""
        if self._monitor not in logs:
            raise UsageError(
                f"EarlyStopping: '{self._monitor}' is not among {', '.join(logs)}: give fit "
                "validation_data, or monitor another"
            )
        value = self._sign * logs[self._monitor]
        if value < self._best - self._min_delta:
            self._best, self._waited = value, 0
            if self._restores:
                self._state = self.model.get_weights(include_optimizer=True)
            return
        self._waited += 1
        if self._waited >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        """See `Callback`."""
        if self._state is not None:
            self.model.set_weights(self._state)


class Callbacks:
    """Several callbacks as one.

    Args:
      callbacks: in the order in which they are called.
      model: that is trained.
      params: of the training.
    """

    def __init__(
        self, callbacks: Iterable[Callback], model: Model, params: Mapping[str, Any]
    ) -> None:
        self._all = tuple(callbacks)
        for callback in self._all:
            callback.set_params(params)
            callback.set_model(model)

    def __bool__(self) -> bool:
        return bool(self._all)

    def call(self, name: str, *arguments: Any) -> None:
        """Calls one method of each, such as `on_epoch_end`."""
        for callback in self._all:
            getattr(callback, name)(*arguments)

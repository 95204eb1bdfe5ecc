"""A model that trains, by the words of Keras' `Model`: `fit`, `evaluate`, `predict`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfplus.api import fitting
from tfplus.api.callbacks import Callback, Callbacks
from tfplus.api.fitting import Course
from tfplus.api.history import History
from tfplus.api.intake import Intake
from tfplus.data import device_data
from tfplus.errors import UsageError
from tfplus.model_file import weights_file
from tfplus.model_file.manifest import Manifest
from tfplus.model_file.state_ranges import LEARNING_RATE, check_ranges
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.tensors import slices
from tfplus.tensors.slices import Tensor, Tensors, check_against
from tfplus.training import prediction

_LEARNING_RATE = f"{slices.OPTIMIZER}/{LEARNING_RATE}"


class Model:
    """An exported file, open for training on this machine; `tfplus.load` makes one.

    It trains in this process, on the runtime that is installed. Weights, the optimizer's state and
    the random state live here until `save_weights` writes them. Use it as a context manager, or
    `close` it, to free them.

    Args:
      model: open.
      intake: of the same file.

    Attributes:
      stop_training: set it to end `fit` after the step under way.
    """

    def __init__(self, model: TrainableModel, intake: Intake) -> None:
        self._model: TrainableModel | None = model
        self._intake = intake
        self.stop_training = False

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._model is None:
            return "<tfplus.Model, closed>"
        manifest = self.manifest
        return (
            f"<tfplus.Model {manifest.name}: {manifest.parameters:,} parameters, batches of "
            f"{manifest.batch_size}, on the {self._model.accelerator}>"
        )

    @property
    def manifest(self) -> Manifest:
        """What the file says of itself: inputs, outputs, batch size, variables, parity."""
        self._open()
        return self._intake.manifest

    @property
    def learning_rate(self) -> float:
        """The optimizer's; set it to train on with another.

        Examples:
            >>> model = tfplus.load(path)
            >>> model.learning_rate = 0.125
            >>> model.learning_rate
            0.125
        """
        return float(self._open().save()[_LEARNING_RATE].reshape(-1)[0])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.set_weights({_LEARNING_RATE: np.array([value], np.float32)})

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        validation_data: Sequence[Any] | None = None,
        callbacks: Iterable[Callback] = (),
        sample_weight: Any = None,
        shuffle: bool = True,
        seed: int = 0,
        initial_epoch: int = 0,
        verbose: int | str = "auto",
    ) -> History:
        """Trains.

        Args:
          x: [samples, ...]; of several inputs a list in the model's order, or a dict by name.
            Values become what the file declares, such as bytes / 255.
          y: [samples, ...]; of several outputs a list, or a dict by the output's name.
          epochs: the epoch to stop before, counted from 0 as in Keras.
          batch_size: that of the file, which is fixed; any other is refused.
          validation_data: (x, y) that are evaluated after each epoch.
          callbacks: see `tfplus.Callback`.
          sample_weight: [samples], where the model was exported to take weights.
          shuffle: whether each epoch has an order of its own.
          seed: of those orders; the same seed gives the same weights.
          initial_epoch: the epoch to begin with; seed and epoch together give the order.
          verbose: 0 for silence, else a line an epoch on standard error.

        Returns:
          The metrics of each epoch. Those of an epoch are means over its steps, before each update.

        Raises:
          DataError: the samples do not fit the model, or the training diverged; the weights are
            those from before the epoch then.
          UsageError: there is nothing to do, or the batch size is not that of the file.

        Examples:
            >>> model = tfplus.load(path)
            >>> history = model.fit(x, y, epochs=3, validation_data=(x, y), verbose=0)
            >>> sorted(history.history)
            ['accuracy', 'loss', 'val_accuracy', 'val_loss']
            >>> history.history["loss"][2] < history.history["loss"][0]
            True
        """
        model, manifest = self._open(), self.manifest
        if batch_size not in (None, manifest.batch_size):
            raise UsageError(
                f"batch_size={batch_size}: the file trains batches of {manifest.batch_size}: leave "
                "it out, or export the model with another"
            )
        if epochs <= initial_epoch:
            raise UsageError(f"epochs={epochs}: expected more than initial_epoch={initial_epoch}")
        train, misfits = self._intake.to_learn(x, y, sample_weight)
        held_out = self._intake.held_out(validation_data)
        told = Callbacks(
            callbacks,
            self,
            {
                "epochs": epochs,
                "steps": device_data.steps_per_epoch(len(train), manifest.batch_size),
                "verbose": verbose,
            },
        )
        order = seed if shuffle else None
        course = Course(train, held_out, misfits, initial_epoch, epochs, order, bool(verbose))
        self.stop_training = False
        try:
            return fitting.fit(model, course, told, lambda: self.stop_training)
        finally:
            self._intake.flush()

    def evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """Measures the model on samples that it does not learn from.

        Args:
          x: as for `fit`.
          y: as for `fit`; a label that the model has no class for counts as wrong.

        Returns:
          Name → mean over the samples: `loss`, and each metric, as Keras' `evaluate` with
          `return_dict=True`. What regularizers add is in the loss, unless it depends on samples.

        Raises:
          DataError: the samples do not fit the model.

        Examples:
            >>> model = tfplus.load(path)
            >>> sorted(model.evaluate(x, y))
            ['accuracy', 'loss']
        """
        model = self._open()
        return fitting.measured(model, self._intake.to_judge(x, y))

    def predict(self, x: Any) -> Any:
        """Returns what Keras' `predict` returns, for any number of samples.

        Args:
          x: as for `fit`.

        Returns:
          float32 [samples, ...]; of several outputs a dict of such by name.

        Raises:
          DataError: the samples do not fit the model.

        Examples:
            >>> model = tfplus.load(path)
            >>> model.predict(x[:5]).shape
            (5, 10)
        """
        model = self._open()
        found = prediction.predict(model, self._intake.to_predict(x))
        outputs = {output.name: found[output.name] for output in model.manifest.outputs}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def get_weights(self, *prefixes: str, include_optimizer: bool = False) -> dict[str, Tensor]:
        """Returns a copy of weights by the names of their slices.

        Args:
          prefixes: such as `shared` or `task/3`; all where none is given.
          include_optimizer: also what the optimizer keeps, under `optimizer`.

        Raises:
          TensorError: a prefix matches nothing.

        Examples:
            >>> model = tfplus.load(path)
            >>> sorted(model.get_weights("shared"))[0].startswith("shared/")
            True
        """
        names = self.manifest.expected(weights_only=not include_optimizer)
        chosen = slices.select(names, prefixes)
        values = self._open().save()
        return {name: values[name] for name in chosen}

    def set_weights(self, values: Tensors) -> None:
        """Sets some or all variables; the others stay as they are.

        Args:
          values: name of a slice → array.

        Raises:
          TensorError: a name, shape or dtype that the model does not have, NaN, or a value that
            such a variable cannot have; nothing is set then.

        Examples:
            >>> model, other = tfplus.load(path), tfplus.load(path)
            >>> history = model.fit(x, y, verbose=0)
            >>> other.set_weights(model.get_weights())
            >>> bool((other.predict(x) == model.predict(x)).all())
            True
        """
        model = self._open()
        expected = model.manifest.expected()
        check_against(values, {n: e for n, e in expected.items() if n in values})
        check_ranges(values, model.manifest.variables)
        model.restore({**model.save(), **values})

    def save_weights(
        self, path: str | Path, *prefixes: str, include_optimizer: bool = False
    ) -> None:
        """Writes weights by the names of their slices as .safetensors.

        Args:
          path: replaced once the new file is whole.
          prefixes: as for `get_weights`.
          include_optimizer: also what the optimizer keeps, to train on from there.

        Raises:
          TensorError: a prefix matches nothing.

        Examples:
            >>> model = tfplus.load(path)
            >>> model.save_weights(folder / "w.safetensors")
            >>> model.load_weights(folder / "w.safetensors")
        """
        weights_file.write(
            Path(path), self.get_weights(*prefixes, include_optimizer=include_optimizer)
        )

    def load_weights(self, path: str | Path) -> None:
        """Sets the variables that a .safetensors file holds, such as an agent's checkpoint.

        Raises:
          DataError: it is no such file.
          TensorError: as `set_weights`.
        """
        self.set_weights(weights_file.read(Path(path)))

    def close(self) -> None:
        """Frees the model; what was not saved is gone."""
        if self._model is not None:
            self._model.close()
            self._intake.close()
        self._model = None

    def _open(self) -> TrainableModel:
        if self._model is None:
            raise UsageError("the model was closed: load it anew")
        return self._model

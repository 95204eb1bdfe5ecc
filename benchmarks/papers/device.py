"""A device: an exported file under LiteRT, its samples, and the classes that it knows."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

import tfplus
from papers.data import Samples
from tfplus.tensors.slices import Tensor, Tensors, task_of
from tfplus_export.costs import layer_flops
from tfplus_export.decoupling import backbone
from tfplus_export.pipeline import api
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources import source


class Files:
    """Exported files by form: sub-models of as many classes have one, whatever classes they are.

    Args:
      folder: where they go.
      batch_size: of a step.
    """

    def __init__(self, folder: Path, batch_size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._batch_size = folder, batch_size
        self.step_flops: dict[str, int] = {}
        self.feature_flops: dict[str, int] = {}
        self.parameters: dict[str, int] = {}

    def of(self, form: str, model: keras.Model) -> Path:
        """Exports a model for SGD with a momentum of 0.9, unless one of its form was before.

        Args:
          form: name of the form.
          model: with logits as its output.
        """
        self._count(form, model)
        path = self._folder / f"{form}-{self._batch_size}.tflite"
        if path.exists():
            return path
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        # A device sets the rate that it trains with.
        model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss)
        aside = path.with_name(f"aside-{os.getpid()}-{path.name}")
        options = Options(batch_size=self._batch_size, infer_batch_size=64, parity_steps=1)
        api.export(source.of_model(model), aside, options, lambda _: None)
        aside.replace(path)
        return path

    def kept(self, form: str, model: keras.Model) -> Path:
        """Exports the branches of a decoupled model, which take what its shared layers make.

        Args:
          form: name of the form.
          model: with branches of classes.
        """
        parts = backbone.halves(model)
        if form not in self.feature_flops:
            shared = keras.models.clone_model(parts.shared)
            self.feature_flops[form] = layer_flops.of_model(shared).forward
        return self.of(form, parts.branches)

    def _count(self, form: str, model: keras.Model) -> None:
        if form not in self.step_flops:
            # A copy: layers that several models share have further calls, which would be counted.
            copy = keras.models.clone_model(model)
            self.step_flops[form] = layer_flops.of_model(copy).step
            self.parameters[form] = layer_flops.parameters(copy)


class Device:
    """One device.

    Args:
      path: of its file.
      weights: that it starts from, slice name → array; those of classes by their own names.
      outputs: class of each output of the file.
      known: classes that it has samples of.
      samples: its own.
      epochs: of a round.
      seed: of the orders.
      rate: of learning.
    """

    def __init__(
        self,
        path: Path,
        weights: Mapping[str, Tensor],
        outputs: tuple[int, ...],
        known: tuple[int, ...],
        samples: Samples,
        epochs: int,
        seed: int,
        rate: float,
    ) -> None:
        # One thread: small networks gain little by more, and other processes may want a core.
        self.model = tfplus.load(path, threads=1)
        self.model.learning_rate = rate
        self.outputs, self.known, self.samples = outputs, known, samples
        self.epochs, self._seed = epochs, seed
        self._own = {_renamed(n, outputs): n for n in self.model.get_weights()}
        self.weights: Tensors = {n: np.asarray(weights[n]) for n in self._own}
        places = np.zeros(max(outputs) + 1, np.int32)
        places[list(outputs)] = np.arange(len(outputs))
        self._targets = places[samples.y] if len(samples) else samples.y
        self.seconds = 0.0

    def train(self, round_number: int, weights: Tensors) -> Tensors:
        """The local epochs of a round; the momentum stays on the device."""
        self.put(weights)
        began = time.perf_counter()
        first = (round_number - 1) * self.epochs
        self.model.fit(
            self.samples.x, self._targets, initial_epoch=first, epochs=first + self.epochs,
            seed=self._seed, verbose=0,
        )  # fmt: skip
        self.seconds += time.perf_counter() - began
        held = self.model.get_weights()
        return {name: np.array(held[own]) for name, own in self._own.items()}

    def put(self, weights: Mapping[str, Tensor]) -> None:
        """Takes over weights."""
        self.model.set_weights({own: weights[name] for name, own in self._own.items()})

    def accuracy(self, weights: Mapping[str, Tensor], test: Samples) -> float:
        """Fraction of test samples of the known classes that are told among those."""
        held = test.of(self.known)
        columns = [self.outputs.index(c) for c in self.known]
        logits = self.logits(weights, held.x)[:, columns]
        return float((np.asarray(self.known)[logits.argmax(axis=1)] == held.y).mean())

    def logits(self, weights: Mapping[str, Tensor], x: npt.NDArray[np.float32]) -> np.ndarray:
        """What the file answers with under some weights, [samples, outputs]."""
        self.put(weights)
        return np.asarray(self.model.predict(x))


def _renamed(name: str, classes: tuple[int, ...]) -> str:
    """task/<place>/… of the file → task/<class>/… of the device."""
    place = task_of(name)
    if place is None:
        return name
    return name.replace(f"task/{place}/", f"task/{classes[int(place)]}/", 1)

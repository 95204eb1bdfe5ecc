"""A device: an exported file under LiteRT, its samples, and the classes that it knows."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

import tfplus
from papers.data import Samples
from tfplus.tensors.slices import Tensor, Tensors, task_of
from tfplus_export.costs import layer_flops
from tfplus_export.decoupling import backbone
from tfplus_export.pipeline import api, cached
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources import source


class Files:
    """Exported files by form: sub-models of as many classes have one, whatever classes they are.

    Args:
      folder: where they go.
      batch_size: of a step.
      learning_rate: of SGD, with a momentum of 0.9, for the network and its narrower forms.
      branch_rate: likewise, for decoupled models, whose branches are recalibrated to a few large
        weights and diverge at a rate that the network takes.
    """

    def __init__(
        self, folder: Path, batch_size: int, learning_rate: float, branch_rate: float
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._batch_size = folder, batch_size
        self._rates = {False: learning_rate, True: branch_rate}
        self.step_flops: dict[str, int] = {}
        self.feature_flops: dict[str, int] = {}
        self.parameters: dict[str, int] = {}

    def of(self, form: str, model: keras.Model) -> Path:
        """Exports a model, unless one of its form was exported before.

        Args:
          form: name of the form.
          model: with logits as its output.
        """
        rate = self.rate(decoupled=form.startswith("decoupled"))
        self._count(form, model)
        path = self._folder / f"{form}-{self._batch_size}-{rate:g}.tflite"
        return self._written(path, model, rate, keeps=False)

    def kept(self, form: str, model: keras.Model, plan_id: str) -> Path:
        """Exports a decoupled model whose shared layers are frozen and their output kept.

        Args:
          form: name of the form.
          model: with branches of classes.
          plan_id: whose shared layers they are; the file has them as constants.
        """
        rate = self.rate(decoupled=True)
        if form not in self.step_flops:
            parts = backbone.halves(model)
            self._count(form, parts.branches)
            shared = keras.models.clone_model(parts.shared)
            self.feature_flops[form] = layer_flops.of_model(shared).forward
        path = self._folder / f"{form}-{plan_id}-{self._batch_size}-{rate:g}.tflite"
        return self._written(path, model, rate, keeps=True)

    def rate(self, *, decoupled: bool) -> float:
        """The learning rate of a file's optimizer."""
        return self._rates[decoupled]

    @property
    def features(self) -> Path:
        """Where features are kept."""
        return self._folder / "features"

    def _count(self, form: str, model: keras.Model) -> None:
        if form not in self.step_flops:
            # A copy: layers that several models share have further calls, which would be counted.
            copy = keras.models.clone_model(model)
            self.step_flops[form] = layer_flops.of_model(copy).step
            self.parameters[form] = layer_flops.parameters(copy)

    def _written(self, path: Path, model: keras.Model, rate: float, *, keeps: bool) -> Path:
        if path.exists():
            return path
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss)
        aside = path.with_name(f"aside-{os.getpid()}-{path.name}")
        given = source.of_model(model)
        options = Options(batch_size=self._batch_size, infer_batch_size=64, parity_steps=1)
        api.export(cached.of(given) if keeps else given, aside, options, lambda _: None)
        aside.replace(path)
        return path


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
      features: where the output of frozen layers is kept.
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
        features: Path,
    ) -> None:
        # One thread: small networks gain little by more, and other processes may want a core.
        self.model = tfplus.load(path, threads=1, feature_cache=features)
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
        self.put(weights)
        held = test.of(self.known)
        columns = [self.outputs.index(c) for c in self.known]
        logits = np.asarray(self.model.predict(held.x))[:, columns]
        return float((np.asarray(self.known)[logits.argmax(axis=1)] == held.y).mean())


def _renamed(name: str, classes: tuple[int, ...]) -> str:
    """task/<place>/… of the file → task/<class>/… of the device."""
    place = task_of(name)
    if place is None:
        return name
    return name.replace(f"task/{place}/", f"task/{classes[int(place)]}/", 1)

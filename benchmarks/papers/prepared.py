"""The start that every system has: a network trained at the desk, and the same cut by class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from papers import networks
from papers.data import Task
from tfplus.decoupling import plan_folder
from tfplus.decoupling.plan import Plan
from tfplus.model_file import weights_file
from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export.decoupling.decouple import Options, decouple
from tfplus_export.decoupling.fine_tune import fine_tune
from tfplus_export.decoupling.samples import Samples
from tfplus_export.decoupling.structure import tail
from tfplus_export.tracing.naming import variable_names

Weights = dict[str, np.ndarray]
_BATCH = 32


@dataclass(frozen=True)
class Prepared:
    """What a seed begins with.

    Attributes:
      seed: of all of it.
      task: the data.
      full: weights of the trained network by slice, fine-tuned as long as the decoupled model.
      plan: of the trained network, decoupled by class and fine-tuned.
      decoupled: its model.
    """

    seed: int
    task: Task
    full: Weights
    plan: Plan
    decoupled: keras.Model


def prepare(
    task: Task, seed: int, epochs: int, tuning: int, overlap: float | None, folder: Path
) -> Prepared:
    """Trains a network with Keras on the desk's samples, and decouples it; or reads what it was.

    Args:
      task: the data.
      seed: of the weights and the orders.
      epochs: of the network, with Adam, whose rate falls to nothing.
      tuning: epochs of the decoupled model; the network gets as many more, likewise.
      overlap: share of a layer's filters that a class gets, where classes share them; None for
        disjoint parts of equal size.
      folder: where both are kept for the next call.
    """
    keras.utils.set_random_seed(seed)
    model: Any = networks.network(task.shape, task.classes)
    names = variable_names(model)
    trained, tuned = folder / "full.safetensors", folder / "full-tuned.safetensors"
    plan = folder / "plan"
    given = Samples("desk", task.desk.x, task.desk.y.astype(np.int64), Preprocessing())
    if not trained.exists():
        folder.mkdir(parents=True, exist_ok=True)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        steps = epochs * -(-len(task.desk) // _BATCH)
        rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
        model.compile(keras.optimizers.Adam(rate), loss)
        model.fit(task.desk.x, task.desk.y, batch_size=_BATCH, epochs=epochs, verbose=0)
        weights_file.write(trained, {names[id(v)]: np.asarray(v) for v in model.variables})
    first = weights_file.read(trained)

    def begin() -> None:
        for variable in model.variables:
            variable.assign(first[names[id(variable)]])

    begin()
    if not plan.exists():
        judged = Samples("test", task.test.x, task.test.y.astype(np.int64), Preprocessing())
        options = Options(overlap, overlap is not None, epochs=tuning, seed=seed)
        found = tail.find(model, networks.cut_of(task.shape))
        labels = tuple(range(task.classes))
        decouple(found, labels, given, judged, task.name, plan, options, lambda _: None)
    if not tuned.exists():
        begin()
        how = Options(epochs=tuning, seed=seed)
        fine_tune(
            model,
            "linear",
            given,
            epochs=tuning,
            learning_rate=how.learning_rate,
            batch_size=how.batch_size,
            seed=seed,
            progress=lambda _: None,
        )
        weights_file.write(tuned, {names[id(v)]: np.asarray(v) for v in model.variables})
    loaded: Any = keras.models.load_model(plan / "model.keras")
    return Prepared(seed, task, weights_file.read(tuned), plan_folder.read(plan), loaded)

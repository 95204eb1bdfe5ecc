"""The pass for what learning costs: a training on the device's own samples, and what it came to.

The model begins at the weights of its file and takes the samples in an order that is the same in
each repetition: what it learns is the same, what that costs is not. Nothing of it is kept.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

from tfplus.benchmark.repetition import ABSENT_ENERGY, Answer
from tfplus.data import device_data
from tfplus.data.device_data import Dataset
from tfplus.errors import DataError, WorkerError
from tfplus.measure.result import Scalar
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.training import epoch, evaluation
from tfplus.training.epoch import EpochPlan
from tfplus_agent.benchmark import energy
from tfplus_agent.benchmark.opened import Opened
from tfplus_agent.telemetry import energy as telemetry_energy
from tfplus_agent.telemetry.sampler import Sampler

METRIC = "accuracy"
_SEED = 0


def run(opened: Opened, clock: Callable[[], float] = time.monotonic) -> Answer:
    """Measures the accuracy, trains while sensors are read, and measures it again.

    Processor time and joules are of the training alone, the loading of its batches among it.

    Args:
      opened: the model.
      clock: seconds that only grow, of the sensors.

    Raises:
      DataError: samples are missing, do not fit, or the training diverged.
      WorkerError: the model tells no accuracy.
    """
    request, manifest = opened.request, opened.found.manifest
    for name, path in (("training data", request.data), ("evaluation data", request.eval_data)):
        if not path:
            raise DataError(f"no {name}: name them in the plan, or start the agent with them")
    samples = device_data.load(Path(request.data), manifest, for_training=True)
    others = device_data.load(Path(request.eval_data), manifest, for_training=False)
    model = opened.model
    before = _accuracy(model, others)
    sensors = Sampler(energy.SENSORS, energy.PERIOD_S, opened.root, clock)
    used, began = _cpu_s(), time.perf_counter()
    with sensors:
        times = _steps(model, samples, request.iterations, request.seconds)
        cpu_s, seconds = _cpu_s() - used, time.perf_counter() - began
    opened.told(times)
    values: dict[str, Scalar] = {
        "accuracy_before": before,
        "accuracy_after": _accuracy(model, others),
        "learning_steps_count": len(times),
        "learning_cpu_s": cpu_s,
        "learning_s": seconds,
        "evaluation_samples_count": len(others),
    }
    # A battery that is being charged tells nothing of what was used.
    found = [e for e in telemetry_energy.over(sensors.snapshots) if e.joules > 0]
    for source in found:
        values[f"learning {source.source} joules"] = source.joules
    absent = {} if found else {ABSENT_ENERGY: energy.why_absent(opened)}
    return Answer(opened.runtime, times, values, absent)


def _steps(
    model: TrainableModel, samples: Dataset, count: int, seconds: float
) -> tuple[float, ...]:
    """Takes so many steps over as many epochs as that needs; milliseconds of each."""
    times: list[float] = []
    until = time.monotonic() + seconds if seconds else float("inf")
    number = 0
    while len(times) < count and (not times or time.monotonic() < until):
        plan = EpochPlan(
            seed=_SEED,
            epoch=number,
            first_step=len(times),
            steps_total=count,
            report_every=count,
            max_steps=count - len(times),
            max_seconds=until - time.monotonic(),
        )
        found = epoch.train(model, samples, plan, lambda event: None, lambda: False)
        times += map(float, found.step_ms)
        number += 1
    return tuple(times)


def _accuracy(model: TrainableModel, samples: Dataset) -> float:
    means = evaluation.evaluate(model, samples).means
    if METRIC not in means:
        told = ", ".join(means)
        raise WorkerError(f"a learning pass needs the metric {METRIC}; the model tells {told}")
    return means[METRIC]


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

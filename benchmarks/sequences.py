"""Do sequence models learn as much from the exported file as from Keras?

From the same initial weights, on the same batches in the same order, Keras' `fit` trains the model
and LiteRT trains the exported file; printed are both accuracies on samples that neither has seen.

The gradient of an embedding reaches Keras' Adam as one slice a token, and Adam there adds up the
squares of a row's slices, not the square of their sum. The exported step has the row's gradient;
here Keras gets that, too, unless `--sliced` leaves it as it is.

usage: sequences.py [--tasks lstm transformer] [--seeds 3] [--epochs 20] [--data FILE.npz]
                    [--sliced] [--json FILE]

Examples:
  sequences.py                                       every task, three seeds
  sequences.py --tasks lstm cnn --data speech.npz    x_train, y_train, x_test, y_test of a file
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from support import records
from support.sequence_tasks import TASKS, Data, Task, from_file

from tfplus.errors import TfplusError
from tfplus.measure.result import Configuration, Repetition
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.optimizers import Adam
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source

BATCH = 32
LEARNING_RATE = 0.002


@dataclass(frozen=True)
class Result:
    """What both made of one task.

    Attributes:
      task: its name.
      keras: accuracy in percent, for each seed.
      exported: the same of the exported file.
    """

    task: str
    keras: list[float]
    exported: list[float]

    @property
    def difference(self) -> float:
        """Mean accuracy of the exported file less that of Keras, in percentage points."""
        return float(np.mean(self.exported) - np.mean(self.keras))

    def repetitions(self, epochs: int) -> list[Repetition]:
        """As the schema has it: one for each seed and system."""
        systems = {
            "keras": (f"Keras {keras.__version__}", self.keras),
            "exported": (f"ai-edge-litert {version('ai-edge-litert')}", self.exported),
        }
        settings = {"batch_size": BATCH, "epochs": epochs, "learning_rate": LEARNING_RATE}
        return [
            Repetition(
                Configuration(self.task, name, runtime, settings=settings),
                seed,
                values={"seed": seed, "accuracy_percent": accuracy},
            )
            for name, (runtime, accuracies) in systems.items()
            for seed, accuracy in enumerate(accuracies)
        ]


class WholeGradients(keras.optimizers.Adam):
    """Adam that gets the gradient of an embedding's row in one piece."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """As Keras' own."""
        super().apply([tf.convert_to_tensor(g) for g in grads], trainable_variables)


class ExportedFile:
    """The exported model under LiteRT."""

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(str(path), num_threads=os.cpu_count())
        runner = self._interpreter.get_signature_runner
        self._train, self._infer = runner("train"), runner("infer")
        self._restore = runner("restore")
        self._start = {n: v.copy() for n, v in runner("save")().items()}

    def reset(self, model: keras.Model) -> None:
        """Takes a model's weights, and forgets what the optimizer kept."""
        weights = {f"shared/{v.path}": np.array(v.numpy()) for v in model.trainable_variables}
        missing = sorted(set(weights) - set(self._start))
        if missing:
            raise ValueError(f"the exported file has no {', '.join(missing)}")
        self._restore(**self._start | weights)

    def epoch(self, x: np.ndarray, y: np.ndarray) -> None:
        """Trains on whole batches in order."""
        for start in range(0, len(x), BATCH):
            self._train(x=x[start : start + BATCH], y=y[start : start + BATCH])

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        """In percent."""
        padded = np.resize(x, (-(-len(x) // BATCH) * BATCH, *x.shape[1:]))
        batches = padded.reshape(-1, BATCH, *x.shape[1:])
        logits = np.concatenate([next(iter(self._infer(x=b).values())) for b in batches])[: len(x)]
        return 100.0 * float(np.mean(logits.argmax(1) == y))


def compare(
    name: str, task: Task, data: Data, seeds: int, epochs: int, *, sliced: bool = False
) -> Result:
    """Trains one task with Keras and with the exported file, once for each seed."""
    accuracies: dict[str, list[float]] = {"keras": [], "exported": []}
    whole = len(data.x_train) // BATCH * BATCH
    exported: ExportedFile | None = None
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            model = _build(task, data, seed, sliced)
            if exported is None:
                exported = ExportedFile(_export(name, model, Path(folder)))
            exported.reset(model)
            rng = np.random.default_rng(seed)
            for epoch in range(epochs):
                order = rng.permutation(len(data.x_train))[:whole]
                x, y = data.x_train[order], data.y_train[order]
                exported.epoch(x, y)
                model.fit(x, y, BATCH, shuffle=False, verbose=0)
                _progress(f"{name}: seed {seed + 1} of {seeds}, epoch {epoch + 1} of {epochs}")
            predicted = model.predict(data.x_test, verbose=0).argmax(1)
            accuracies["keras"].append(100.0 * float(np.mean(predicted == data.y_test)))
            accuracies["exported"].append(exported.accuracy(data.x_test, data.y_test))
    _progress("")
    return Result(name, accuracies["keras"], accuracies["exported"])


def _build(task: Task, data: Data, seed: int, sliced: bool) -> keras.Model:
    # Names of layers start over, so that all seeds have the same.
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    classes = int(max(data.y_train.max(), data.y_test.max())) + 1
    model = task.build(data.x_train.shape[1:], classes)
    model.compile(
        (keras.optimizers.Adam if sliced else WholeGradients)(LEARNING_RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def _export(name: str, model: keras.Model, folder: Path) -> Path:
    _progress(f"{name}: exporting")
    path = folder / "model.tflite"
    source = Source(name, model, None, None, None, Preprocessing(), None)
    options = api.Options(BATCH, BATCH, Adam(LEARNING_RATE))
    api.export(source, path, options, lambda text: None)
    return path


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _table(results: Sequence[Result]) -> str:
    lines = [
        "| task | Keras, % | exported file, % | difference, points | seeds, exported − Keras |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        pairs = zip(result.exported, result.keras, strict=True)
        each = " ".join(f"{e - k:+.2f}" for e, k in pairs)
        lines.append(
            f"| {result.task} | {np.mean(result.keras):.2f} | {np.mean(result.exported):.2f} "
            f"| {result.difference:+.2f} | {each} |"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=None
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3, help="runs from other initial weights")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--data", type=Path, help="an .npz file instead of the task's own data")
    parser.add_argument("--sliced", action="store_true", help="see above")
    records.add_json(parser)
    arguments = parser.parse_args()
    if arguments.data and any(t in ("token-transformer", "characters") for t in arguments.tasks):
        parser.error("--data holds numbers, not tokens: choose --tasks lstm, transformer or cnn")
    if arguments.seeds < 1 or arguments.epochs < 1:
        parser.error("--seeds and --epochs: expected at least 1")
    return arguments


def main() -> int:
    """Runs the tasks and prints the table."""
    arguments = _arguments()
    results: list[Result] = []
    try:
        given = from_file(arguments.data) if arguments.data else None
        for name in arguments.tasks:
            task = TASKS[name]
            data = given or task.data()
            options = (arguments.seeds, arguments.epochs)
            results.append(compare(name, task, data, *options, sliced=arguments.sliced))
    except (OSError, KeyError, TfplusError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(_table(results))
    found = [r for result in results for r in result.repetitions(arguments.epochs)]
    records.output(records.result(__file__, {"sliced": arguments.sliced}, found), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Times a step of FedEx against one of FedAvg: the head from kept features, and the whole model.

usage: fedex.py [--models NAME ...] [--files FOLDER] [--export-only] [--blocks 3] [--json FILE]
                [--threads N] [--write]

Both are steps of exported files on the same LiteRT, of the same samples of 96 × 96 pixels: `whole`
trains everything, as a device's local step in FedAvg; `first epoch` runs the frozen backbone and
trains the head; `later epochs` read features from the cache on disk and train the head. Weights are
random: what a step takes does not depend on what was learned. The head is what stands behind the
last global pooling. `bytes` are what a round moves: in FedAvg every weight both ways, in FedEx the
features of 32 corrections one way and the head the other way, if all of it changed.
CPU time stands for energy where there is no sensor: it is no measurement of joules.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from features.step_report import HEAD, PICTURE, figure, line  # noqa: E402
from support.documents import insert  # noqa: E402

from tfplus.data import device_data  # noqa: E402
from tfplus.features import opening  # noqa: E402
from tfplus.features.opening import Features  # noqa: E402
from tfplus.measure import environment, ratios  # noqa: E402
from tfplus.measure.alternation import Limit, Plan, in_turn, timed  # noqa: E402
from tfplus.model_file import artifact  # noqa: E402
from tfplus.report import drawing, svg  # noqa: E402
from tfplus.runtime import interpreter  # noqa: E402
from tfplus.runtime.opening import OpenOptions, open_model  # noqa: E402
from tfplus.system.files import write_atomic  # noqa: E402

DOCUMENT = ROOT / "docs" / "fedex.md"
PIXELS, CLASSES, BATCH, CORRECTIONS = 96, 10, 16, 32
# By their parameters, 0.1 to 25 million.
MODELS = ("small CNN", "MobileNet ×0.25", "MobileNet ×0.5", "MobileNetV2", "ResNet50")


def build(name: str) -> Any:
    """A model without weights for ten classes."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    given = {"weights": None, "classes": CLASSES, "input_shape": (PIXELS, PIXELS, 3)}
    if name == "small CNN":
        stack: list[Any] = [keras.Input((PIXELS, PIXELS, 3))]
        for filters in (16, 32, 64, 128):
            stack.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            stack.append(layers.MaxPooling2D(2))
        return keras.Sequential([*stack, layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)])
    family, _, width = name.partition(" ×")
    if width:
        given["alpha"] = float(width)
    return getattr(keras.applications, family)(**given)


def export(name: str, folder: Path) -> None:
    """Writes `NAME.tflite`, which trains everything, and `NAME-head.tflite`."""
    import keras
    from typer.testing import CliRunner

    from tfplus.cli.main import app

    model = build(name)
    poolings = [e for e in model.layers if isinstance(e, keras.layers.GlobalAveragePooling2D)]
    path = folder / f"{name}.keras"
    model.save(path)
    common = ("--batch-size", BATCH, "--parity-steps", 1, "--learning-rate", 0.01)
    for output, more in (
        (folder / f"{name}-head.tflite", ("--split", poolings[-1].name)),
        (folder / f"{name}.tflite", ()),
    ):
        if not output.exists():
            arguments = ("export", path, "-o", output, *common, *more)
            done = CliRunner().invoke(app, [str(a) for a in arguments])
            if done.exit_code:
                raise SystemExit(done.stderr)


class Side:
    """Steps of one file, on batches that a loop over its data hands out."""

    def __init__(self, path: Path, data: Path, threads: int, *, is_kept: bool = True) -> None:
        read = artifact.read(path)
        self._features = Features(read, interpreter.find(), threads=threads)
        samples = device_data.load(data, opening.of_samples(read.manifest), for_training=False)
        self._taken = self._features.of(samples)
        self._manifest = opening.of_features(read.manifest)
        self._samples, self._is_kept = samples, is_kept or not read.manifest.features
        if self._is_kept:
            list(device_data.batches(self._taken, self._manifest, BATCH))
            self._features.flush()
        taken = replace(read, manifest=self._manifest)
        self._model = open_model(taken, OpenOptions(threads=threads))
        self._upcoming: Any = iter(())
        self.cpu_s, self.steps = 0.0, 0

    def step(self) -> None:
        """One step on the next batch."""
        started = time.process_time()
        batch = next(self._upcoming, None)
        if batch is None:
            if not self._is_kept:
                self._features.cache.evict(has_ended=True)
            self._upcoming = device_data.batches(self._taken, self._manifest, BATCH)
            batch = next(self._upcoming)
        self._model.step(batch.arguments)
        self.cpu_s += time.process_time() - started
        self.steps += 1

    @property
    def cpu_ms(self) -> float:
        """Processor time of a step, all cores together."""
        return 1e3 * self.cpu_s / self.steps

    def close(self) -> None:
        """Frees the cache."""
        self._features.close()
        self._model.close()


def measure(name: str, folder: Path, data: Path, blocks: int, threads: int) -> dict[str, Any]:
    """One row of the table."""
    paths = folder / f"{name}.tflite", folder / f"{name}-head.tflite"
    sides = {
        "whole": Side(paths[0], data, threads),
        "first epoch": Side(paths[1], data, threads, is_kept=False),
        "later epochs": Side(paths[1], data, threads),
    }
    systems: dict[str, Callable[..., Any]] = {n: timed(s.step) for n, s in sides.items()}
    found = in_turn(systems, Plan(blocks, Limit(40, 2.0), warm_up=Limit(2)))
    whole, head = (artifact.read(path).manifest for path in paths)
    feature = int(np.prod(head.features[-1].feature.shape)) * 4

    def weight_bytes(manifest: Any) -> int:
        return sum(int(np.prod(w.shape)) * 4 for w in manifest.weights)

    row: dict[str, Any] = {
        "model": name,
        "parameters": whole.parameters,
        "head_parameters": head.parameters,
        "fedavg_bytes": 2 * weight_bytes(whole),
        "fedex_bytes": CORRECTIONS * feature + weight_bytes(head),
    }
    for system, side in sides.items():
        taken = [b.median_ms for b in found[system] if not b.is_warm_up]
        row[system] = {
            "ms": float(np.median(taken)),
            "faster": 1 / ratios.time_ratio(found[system], found["whole"]),
            "cpu_ms": side.cpu_ms,
        }
        side.close()
    return row


def main() -> None:
    """Exports, measures, prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--files", type=Path, help="keep exported files here, and use them again")
    parser.add_argument("--export-only", action="store_true")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0 for one on each fast core")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true", help="table and figure, docs/fedex.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        export(options.one, options.files)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = options.files or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for model in options.models:
            if not (folder / f"{model}.tflite").exists():
                # TensorFlow's memory goes with its process.
                command = [sys.executable, __file__, "--one", model, "--files", str(folder)]
                subprocess.run(command, check=True)
        if options.export_only:
            return
        data = folder / "samples.npz"
        rng = np.random.default_rng(0)
        x = rng.random((4 * BATCH, PIXELS, PIXELS, 3), np.float32)
        np.savez(data, x=x, y=np.arange(len(x)) % CLASSES)
        about = environment.read()
        text = (
            f"Batch {BATCH}, {PIXELS} px, {options.threads or 'all'} threads, "
            f"{os.cpu_count()} cores of {about.cpu_model}, "
            f"load {os.getloadavg()[0]:.1f} before.\n\n{HEAD}"
        )
        print(text)
        rows = []
        for model in options.models:
            rows.append(measure(model, folder, data, options.blocks, options.threads))
            print(line(rows[-1]), flush=True)
            text += f"\n{line(rows[-1])}"
        if options.json:
            options.json.write_text(json.dumps(rows, indent=2))
        if options.write:
            drawn = figure(rows)
            picture = DOCUMENT.with_suffix("") / PICTURE
            picture.parent.mkdir(exist_ok=True)
            write_atomic(picture, svg.standalone(drawing.svg(drawn)).encode())
            text += f"\n\n![{drawn.title}]({picture.parent.name}/{PICTURE})"
            document = insert(DOCUMENT.read_text("utf-8"), text, "fedex")
            DOCUMENT.write_text(document, "utf-8")


if __name__ == "__main__":
    main()

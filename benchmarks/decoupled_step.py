"""Times training steps of a decoupled VGG-16 in turn: whole, sub-model, frozen, features kept.

usage: decoupled_step.py [--case cifar10 | cifar100 | keywords] [--width 0.25] [--layers 6]
                         [--device-classes 5 2] [--batch-size 32] [--blocks 7]
                         [--files FOLDER [--export-only]]

VGG-16 up to its last pooling (no dense layers of 4096), random weights: what a step takes does not
depend on what was learned. `features kept` is what a device does from the second epoch on: read a
batch of features from the cache on disk, and take a step of the branches. Beside the times stand
the products of a step, counted three ways: of the whole model, of the layers that were cut alone,
and of what is left where the shared layers are frozen and their output is kept. With --files the
exported files stay in a folder, and are timed as they are by the next call.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.data import device_data
from tfplus.decoupling import plan_folder
from tfplus.features import opening
from tfplus.features.opening import Features
from tfplus.measure import ratios
from tfplus.measure.alternation import Limit, Plan, in_turn, timed
from tfplus.model_file import artifact
from tfplus.runtime import interpreter
from tfplus.runtime.opening import OpenOptions, open_model
from tfplus_export.costs import layer_flops
from tfplus_export.decoupling import backbone, submodel

LIST = "files.json"
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


class Case(NamedTuple):
    """A data set's form, and the classes of a device."""

    shape: tuple[int, int, int]
    classes: int
    held: tuple[int, ...]


# One part in `classes` of each layer's filters goes to a class: 10 %, 1 % and 2.5 %.
CASES = {
    "cifar10": Case((32, 32, 3), 10, (5, 2)),
    "cifar100": Case((32, 32, 3), 100, (50, 10)),
    "keywords": Case((61, 40, 1), 40, (10,)),
}


class Work(NamedTuple):
    """Products of a training step of one sample, two operations for each multiply-add."""

    whole: int
    cut: int


def network(width: float, case: Case) -> keras.Model:
    """The convolutions of VGG-16, and the classes."""
    stack = [keras.Input(case.shape)]
    for block, (count, filters) in enumerate(BLOCKS, start=1):
        for i in range(1, count + 1):
            name, wide = f"conv{block}_{i}", int(filters * width)
            stack.append(layers.Conv2D(wide, 3, padding="same", activation="relu", name=name))
        stack.append(layers.MaxPooling2D(2, name=f"pool{block}"))
    return keras.Sequential([*stack, layers.Flatten(), layers.Dense(case.classes, name="logits")])


def tfplus(*arguments: object) -> None:
    """Runs a command in this process."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exit_code:
        raise SystemExit(done.stderr)


def files(
    options: argparse.Namespace, case: Case, folder: Path, data: Path
) -> dict[str, tuple[Path, Work]]:
    """Exports the whole and every sub-model, and counts what a step of each takes."""
    whole = network(options.width, case)
    whole.save(folder / "vgg.keras")
    common = ("--batch-size", options.batch_size, "--parity-steps", 1, "--momentum", 0.9)
    tfplus("export", folder / "vgg.keras", "-o", folder / "full.tflite", *common)
    tfplus(
        "decouple", folder / "vgg.keras", "--data", data, "--layers", options.layers,
        "-o", folder / "plan",
    )  # fmt: skip
    plan = plan_folder.read(folder / "plan")
    loaded: Any = keras.models.load_model(folder / "plan" / "model.keras")
    front = keras.Model(whole.inputs[0], whole.get_layer(plan.shared_layer).output)
    found = {"full model": (folder / "full.tflite", work(whole, front))}
    for count in options.device_classes or case.held:
        part = submodel.build(loaded, plan, tuple(range(count)))
        _train(part, lambda name: True)
        halves = backbone.halves(part)
        labels = ",".join(map(str, range(count)))
        counted = {"shared layers trained": work(part, halves.shared)}
        _train(part, lambda name: name.startswith("task_"))
        counted["shared layers frozen"] = work(part, halves.shared)
        counted["features kept"] = work(halves.branches, None)
        for name, more in (
            ("shared layers trained", ()),
            ("shared layers frozen", ("--frozen-shared",)),
            ("features kept", ("--cached",)),
        ):
            path = folder / f"{count}-{name.replace(' ', '-')}.tflite"
            tfplus("export", folder / "plan", "--classes", labels, *more, "-o", path, *common)
            found[f"{count} of {case.classes}, {name}"] = (path, counted[name])
    return found


def made(
    options: argparse.Namespace, case: Case, folder: Path, data: Path
) -> dict[str, tuple[Path, Work]]:
    """Random samples, and `files` with a list of them."""
    folder.mkdir(parents=True, exist_ok=True)
    count = max(4 * options.batch_size, 4 * case.classes)
    x = np.random.default_rng(0).random((count, *case.shape), np.float32)
    np.savez(data, x=x, y=np.arange(count) % case.classes)
    found = files(options, case, folder, data)
    listed = {name: [path.name, *work] for name, (path, work) in found.items()}
    (folder / LIST).write_text(json.dumps(listed))
    return found


def read(folder: Path) -> dict[str, tuple[Path, Work]]:
    """The files of an earlier call; none where there was no such."""
    if not (folder / LIST).exists():
        return {}
    listed = json.loads((folder / LIST).read_text("utf-8"))
    return {name: (folder / file, Work(*work)) for name, (file, *work) in listed.items()}


def work(model: keras.Model, shared: keras.Model | None) -> Work:
    """What a step takes, and what is left of it without the shared layers."""
    whole, front = (0 if m is None else layer_flops.of_model(own(m)).step for m in (model, shared))
    return Work(whole, whole - front)


def own(model: keras.Model) -> keras.Model:
    """A copy: the layers of one that others share have further calls, which would be counted."""
    copy = keras.models.clone_model(model)
    # Inputs have no weights, and those of a copy other names.
    for layer in model.layers:
        if layer.weights:
            copy.get_layer(layer.name).trainable = layer.trainable
    return copy


def _train(model: keras.Model, trains: Callable[[str], bool]) -> None:
    """Sets which layers train, by name; a sub-model has the layers of its plan, not copies."""
    for layer in model.layers:
        layer.trainable = trains(layer.name)


def stepper(path: Path, data: Path, kept: contextlib.ExitStack) -> Callable[[], None]:
    """One step of a file on the next batch, as it is in every epoch but the first."""
    read = artifact.read(path)
    features = Features(read, interpreter.find())
    kept.callback(features.close)
    samples = device_data.load(data, opening.of_samples(read.manifest), for_training=False)
    samples = features.of(samples)
    read = replace(read, manifest=opening.of_features(read.manifest))
    size = read.manifest.batch_size
    list(device_data.batches(samples, read.manifest, size))
    features.flush()
    model = open_model(read, OpenOptions())
    upcoming = iter(())

    def step() -> None:
        nonlocal upcoming
        batch = next(upcoming, None)
        if batch is None:
            upcoming = device_data.batches(samples, read.manifest, size)
            batch = next(upcoming)
        model.step(batch.arguments)

    return step


def main() -> None:
    """Exports, measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, default="cifar10")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--device-classes", type=int, nargs="+")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--files", type=Path, metavar="FOLDER")
    parser.add_argument("--export-only", action="store_true")
    options = parser.parse_args()
    case = CASES[options.case]
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as kept:
        folder = options.files or Path(name)
        data = folder / "data.npz"
        paths = read(folder) or made(options, case, folder, data)
        if options.export_only:
            return
        systems = {n: timed(stepper(path, data, kept)) for n, (path, _) in paths.items()}
        plan = Plan(options.blocks, Limit(10, 2.0), warm_up=Limit(3), settle=Limit(1))
        load = os.getloadavg()[0]
        found = in_turn(systems, plan)
        print(f"{options.case}, width {options.width:g}, load {load:.1f} before")
        print("| step of | ms | time saved | MFLOP | saved | of the cut layers | saved |")
        print("|---|---|---|---|---|---|---|")
        full, most = found["full model"], paths["full model"][1]
        for system, blocks in found.items():
            ms = np.median([b.median_ms for b in blocks if not b.is_warm_up])
            ratio = 1 / ratios.time_ratio(blocks, full)
            step = paths[system][1]
            print(
                f"| {system} | {ms:.1f} | {ratio:.1f} × | {step.whole / 1e6:.1f} "
                f"| {most.whole / step.whole:.2f} × | {step.cut / 1e6:.1f} "
                f"| {most.cut / step.cut:.1f} × |"
            )
        shared = most.whole - most.cut
        print(
            f"shared layers: {shared / most.whole:.0%} of the whole model's step; with them "
            f"trained no decoupling saves more than {most.whole / shared:.2f} ×"
        )


if __name__ == "__main__":
    main()

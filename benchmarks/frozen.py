"""Times a frozen model beside the same network converted by TensorFlow's own converter, in turn.

usage: frozen.py [--models lenet small-cnn reduced-mobilenet] [--batch-size 1] [--json FILE]
                 [--write docs/performance.md]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "export")]

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from documents import insert  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

from tfplus.model_file import artifact, baked_model  # noqa: E402
from tfplus_export.pipeline import api  # noqa: E402
from tfplus_export.sources import source  # noqa: E402

_SETTLE_S = 0.05
MODELS = ("lenet", "small-cnn", "reduced-mobilenet")


def converted(model: keras.Model, batch_size: int, folder: str) -> bytes:
    """What TensorFlow's converter makes of the network, with the batch fixed as in ours."""
    shape = [batch_size, *model.inputs[0].shape[1:]]
    model.export(folder, input_signature=[tf.TensorSpec(shape, tf.float32)], verbose=False)
    return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def runner(content: bytes, x: np.ndarray, threads: int) -> Callable[[], None]:
    """One inference without signatures, whose dispatch in Python costs more than small models."""
    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    return interpreter.invoke


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Exports, freezes and times one model of the zoo."""
    loaded = source.load(
        f"zoo:{name}",
        input_shape=None,
        classes=None,
        seed=0,
        replace_optimizer=False,
        replace_loss=False,
        trust_code=False,
    )
    batch = options.batch_size
    chosen = api.Options(8, infer_batch_size=batch, parity_steps=1, freezable=True)
    with tempfile.TemporaryDirectory() as folder:
        trainable = Path(folder) / "trainable.tflite"
        written = api.export(loaded, trainable, chosen, lambda text: None)
        checkpoint = Path(folder) / "weights.safetensors"
        save_file(artifact.initial_values(written), checkpoint)
        frozen = baked_model.freeze(written, checkpoint, Path(folder) / "frozen.tflite")
        contents = {
            "frozen": frozen.path.read_bytes(),
            "TensorFlow's converter": converted(loaded.model, batch, f"{folder}/saved"),
        }
        before = written.path.read_bytes()[: written.manifest.flatbuffer_bytes]
    shape = (batch, *written.manifest.input_shape)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    runs = {n: runner(content, x, options.threads) for n, content in contents.items()}
    # The first graph of the trainable file is that of `infer`.
    runs["trainable file's infer"] = runner(before, x, options.threads)
    for run in runs.values():
        for _ in range(options.warmup):
            run()
    blocks: dict[str, list[float]] = {n: [] for n in runs}
    for _ in range(options.blocks):
        for system, run in runs.items():
            # The threads of the one before still wait for more work, awake.
            settled = time.perf_counter() + _SETTLE_S
            while time.perf_counter() < settled:
                run()
            start = time.perf_counter()
            for _ in range(options.runs):
                run()
            blocks[system].append((time.perf_counter() - start) / options.runs * 1e3)
    reference = blocks["TensorFlow's converter"]
    print(f"\n{name}, batch {batch}; frozen equals the trainable model to {frozen.difference:.0e}")
    rows: dict[str, Any] = {"difference": frozen.difference}
    for system, times in blocks.items():
        # Blocks that ran one after the other saw the same machine.
        ratio = statistics.median(t / r for t, r in zip(times, reference, strict=True))
        size = len(contents.get(system, before))
        print(
            f"  {system:<24}{statistics.median(times):>9.3f} ms  {ratio:>6.2f} of the converter's"
            f"  {size / 1e3:>8.0f} kB"
        )
        rows[system] = {"median_ms": statistics.median(times), "ratio": ratio, "bytes": size}
    return rows


def table(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> str:
    """All models for the document."""
    systems = [s for s in next(iter(results.values())) if s != "difference"]
    lines = [
        f"TensorFlow {tf.__version__}, ai-edge-litert {version('ai-edge-litert')}, batch "
        f"{options.batch_size}, {options.threads} threads; {options.blocks} blocks of "
        f"{options.runs} inferences, in turn. Milliseconds, and multiples of the\nconverter's: "
        "below 1 is faster.\n",
        f"| model | {' | '.join(systems)} | frozen equals the trainable model to |",
        "|---|" + "---|" * (len(systems) + 1),
    ]
    for name, row in results.items():
        cells = [f"{row[s]['median_ms']:.3f}, {row[s]['ratio']:.2f}" for s in systems]
        lines.append(f"| {name} | {' | '.join(cells)} | {row['difference']:.0e} |")
    return "\n".join(lines)


def main() -> None:
    """Reads the arguments, measures, reports."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--blocks", type=int, default=15, help="blocks of each, in turn")
    parser.add_argument("--runs", type=int, default=50, help="inferences in a block")
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--json", type=Path, help="also write the results there")
    parser.add_argument("--write", type=Path, help="put the table between the document's markers")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    print(f"TensorFlow {tf.__version__}, {options.threads} threads")
    results = {name: measure(name, options) for name in options.models}
    if options.write:
        text = table(results, options)
        options.write.write_text(insert(options.write.read_text(), text, "frozen"))
    if options.json:
        about = {k: str(v) for k, v in vars(options).items()}
        options.json.write_text(json.dumps({"options": about, "models": results}, indent=2) + "\n")


main()

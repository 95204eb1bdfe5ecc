"""Which share of BATCH_MATMUL's own rate a training step reaches, products and all else together.

The rate of a step is that of the products in its file, over the time of the whole step: Winograd's
transformations count as what they are, fewer and other products than those of a plain convolution.
A BATCH_MATMUL alone runs before and behind each block of steps, on the same machine.

usage: gemm_share.py FILE... [--threads 2] [--blocks 5] [--steps 6] [--json]

  step.py --suite papers --artifacts build/steps --export-only
  gemm_share.py build/steps/vgg16-32.tflite build/steps/alexnet-32.tflite
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "export")]

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402

from tfplus import artifact  # noqa: E402

# Rows, columns and depth of the product alone.
SIDE = 1024


def product(threads: int) -> Callable[[], None]:
    """One BATCH_MATMUL of two tensors known at run time."""
    shape = tf.TensorSpec([1, SIDE, SIDE], tf.float32)
    multiply = tf.function(lambda a, b: tf.raw_ops.BatchMatMulV2(x=a, y=b), [shape, shape])
    convert = tf.lite.TFLiteConverter.from_concrete_functions
    content = convert([multiply.get_concrete_function()], multiply).convert()
    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        values = np.random.default_rng(0).standard_normal(detail["shape"])
        interpreter.set_tensor(detail["index"], values.astype(np.float32))
    return interpreter.invoke


def step(path: Path, threads: int) -> tuple[str, int, Callable[[], object]]:
    """A file's model, the floating-point operations of its products, and one step of it."""
    manifest = artifact.read(path).manifest
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    train = interpreter.get_signature_runner("train")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((manifest.batch_size, *manifest.input_shape)).astype(np.float32)
    y = rng.integers(0, len(manifest.classes), manifest.batch_size).astype(np.int32)
    return manifest.name, manifest.flops_per_step, lambda: train(x=x, y=y)


def seconds(run: Callable[[], object], times: int) -> float:
    """The median of some runs."""
    found: list[float] = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def measure(path: Path, options: argparse.Namespace) -> dict[str, object]:
    """One file's rate and that of BATCH_MATMUL, in GFLOP/s."""
    name, flops, train = step(path, options.threads)
    alone = product(options.threads)
    seconds(train, 2)
    seconds(alone, 2)
    steps: list[float] = []
    products: list[float] = []
    for _ in range(options.blocks):
        products.append(seconds(alone, 2 * options.steps))
        steps.append(seconds(train, options.steps))
    products.append(seconds(alone, 2 * options.steps))
    rate = flops / statistics.median(steps) / 1e9
    own = 2 * SIDE**3 / statistics.median(products) / 1e9
    return {
        "model": name,
        "gflop": flops / 1e9,
        "step_ms": statistics.median(steps) * 1e3,
        "gflop_per_s": rate,
        "batch_matmul_gflop_per_s": own,
        "share": rate / own,
    }


def main() -> None:
    """Prints one row a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, help="written by `tfplus export`")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--blocks", type=int, default=5, help="blocks of steps")
    parser.add_argument("--steps", type=int, default=6, help="steps in a block")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args()
    rows = [measure(path, options) for path in options.files]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print("| model | GFLOP | ms | GFLOP/s | BATCH_MATMUL alone, GFLOP/s | share |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['model']} | {row['gflop']:.1f} | {row['step_ms']:.1f} "
            f"| {row['gflop_per_s']:.0f} | {row['batch_matmul_gflop_per_s']:.0f} "
            f"| {row['share']:.0%} |"
        )


if __name__ == "__main__":
    main()

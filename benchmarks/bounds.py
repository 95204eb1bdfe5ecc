"""What bounds a training step: its products, and what its other operators read and write.

For each file: the whole step; its products (BATCH_MATMUL and the like) as a rate in GFLOP/s; all
other operators as a rate in GB/s of what they read and write; and both rates of one operator alone,
BATCH_MATMUL of two matrices and ADD of two tensors that no cache holds, run between the steps. A
step cannot be faster than its products at the one rate. Its passes can: what a cache still holds
is read faster than memory.

Winograd's transformations count as what they are, fewer and other products than those of a plain
convolution. Times of products and passes are of the runtime's profiler, as in `tfplus profile`.

usage: bounds.py FILE... [--threads 2] [--blocks 5] [--steps 6] [--json] [--write FILE]

  step.py --suite papers --artifacts build/steps --export-only
  bounds.py build/steps/vgg16-32.tflite build/steps/mobilenet-v2-96-32.tflite
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "export")]

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from documents import insert  # noqa: E402

from tfplus.model_file import (  # noqa: E402
    artifact,
    random_samples,
)
from tfplus.profiling import layers  # noqa: E402
from tfplus_export.passes.ir import step_graph  # noqa: E402
from tfplus_export.passes.rematerialization.plans import moved_bytes  # noqa: E402

PRODUCTS = {"BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
# Rows, columns and depth of the product alone.
SIDE = 1024
# Numbers in each tensor of the sum alone: 64 MB.
LENGTH = 1 << 24


@dataclass(frozen=True)
class Row:
    """What one file's step takes, and the rates of single operators beside it.

    Attributes:
      model: name.
      step_ms: one step, median.
      gflop: of its products, as the manifest counts them.
      products: share of the profiled time.
      passes: likewise, of all other operators.
      moved_gb: what these read and write.
      alone_gflop_per_s: of BATCH_MATMUL.
      alone_gb_per_s: of ADD.
    """

    model: str
    step_ms: float
    gflop: float
    products: float
    passes: float
    moved_gb: float
    alone_gflop_per_s: float
    alone_gb_per_s: float

    @property
    def whole(self) -> float:
        """The whole step's products over BATCH_MATMUL's own rate: 1 is the bound."""
        return self.gflop / self.step_ms * 1e3 / self.alone_gflop_per_s

    def cells(self) -> list[str]:
        """As a line of the table."""
        of_products = self.gflop / (self.step_ms * self.products) * 1e3
        of_passes = self.moved_gb / (self.step_ms * self.passes) * 1e3
        return [
            self.model,
            f"{self.step_ms:.1f}",
            f"{self.gflop:.1f}",
            f"{self.products:.0%}",
            f"{of_products:.0f} of {self.alone_gflop_per_s:.0f}",
            f"{self.whole:.0%}",
            f"{self.moved_gb:.2f}",
            f"{self.passes:.0%}",
            f"{of_passes:.0f} of {self.alone_gb_per_s:.0f}",
        ]


HEAD = [
    "model",
    "ms",
    "GFLOP",
    "products' share",
    "GFLOP/s, of BATCH_MATMUL's",
    "whole step",
    "GB moved by the rest",
    "its share",
    "GB/s, of ADD's",
]


def alone(function: Any, shape: Sequence[int], threads: int) -> Callable[[], object]:
    """One operator of two tensors known at run time."""
    spec = tf.TensorSpec(shape, tf.float32)
    concrete = tf.function(function, [spec, spec], autograph=False).get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.ones(detail["shape"], np.float32))
    return interpreter.invoke


def seconds(run: Callable[[], object], times: int) -> float:
    """The median of some runs."""
    found: list[float] = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def measure(path: Path, threads: int, blocks: int, steps: int) -> Row:
    """One file."""
    exported = artifact.read(path)
    manifest = exported.manifest
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    train = interpreter.get_signature_runner("train")
    inputs = random_samples.of(manifest, "train")
    product = alone(lambda a, b: tf.raw_ops.BatchMatMulV2(x=a, y=b), [1, SIDE, SIDE], threads)
    addition = alone(tf.add, [LENGTH], threads)
    runs: list[tuple[Callable[[], object], list[float]]] = [
        (lambda: train(**inputs), []),
        (product, []),
        (addition, []),
    ]
    for run, _ in runs:
        seconds(run, 2)
    for _ in range(blocks):
        for run, found in runs:
            found.append(seconds(run, steps))
    step_s, product_s, addition_s = (statistics.median(found) for _, found in runs)
    profile = layers.measure(
        exported,
        "train",
        runtime=f"ai-edge-litert {version('ai-edge-litert')}",
        threads=threads,
        xnnpack=True,
        warmup=2,
        steps=blocks * steps,
    )
    every = sum(row.ms for row in profile.operators)
    products = sum(row.ms for row in profile.operators if row.name in PRODUCTS)
    graph = step_graph.read(path.read_bytes()[: manifest.flatbuffer_bytes], "train")
    others = [o for o in graph.operators if o.name not in PRODUCTS]
    return Row(
        model=manifest.name,
        step_ms=step_s * 1e3,
        gflop=manifest.flops_per_step / 1e9,
        products=products / every,
        passes=1.0 - products / every,
        moved_gb=moved_bytes(graph, others) / 1e9,
        alone_gflop_per_s=2 * SIDE**3 / product_s / 1e9,
        alone_gb_per_s=3 * LENGTH * 4 / addition_s / 1e9,
    )


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
    parser.add_argument("--write", type=Path, help="put the table between the document's markers")
    options = parser.parse_args()
    rows = [measure(path, options.threads, options.blocks, options.steps) for path in options.files]
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    print(json.dumps([asdict(row) for row in rows], indent=2) if options.json else table)
    if options.write:
        text = options.write.read_text()
        options.write.write_text(insert(text, table, "bounds"))


if __name__ == "__main__":
    main()

"""What bounds a training step: its products, and what its other operators read and write.

For each file: the whole step; its products (BATCH_MATMUL and the like) as a rate in GFLOP/s; all
other operators as a rate in GB/s of what they read and write; and both rates of one operator alone,
BATCH_MATMUL of two matrices and ADD of two tensors that no cache holds, run between the steps. A
step cannot be faster than its products at the one rate. Its passes can: what a cache still holds
is read faster than memory.

Winograd's transformations count as what they are, fewer and other products than those of a plain
convolution. Times of products and passes are of the runtime's profiler, as in `tfplus profile`.

usage: bounds.py FILE... [--threads 2] [--blocks 5] [--steps 6] [--json [FILE.json]] [--write FILE]

  step.py --suite papers --artifacts build/steps --export-only
  bounds.py build/steps/vgg16-32.tflite build/steps/mobilenet-v2-96-32.tflite
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "export")]

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from support import records  # noqa: E402
from support.documents import insert  # noqa: E402

from tfplus.measure.alternation import Limit, Plan, in_turn, timed  # noqa: E402
from tfplus.measure.result import Configuration, Repetition  # noqa: E402
from tfplus.model_file import (  # noqa: E402
    artifact,
    random_samples,
)
from tfplus.profiling import layers  # noqa: E402
from tfplus_export.passes.ir import step_graph  # noqa: E402
from tfplus_export.passes.rematerialization.plans import moved_bytes  # noqa: E402

PRODUCTS = {"BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
# What runs in turn.
STEP, PRODUCT, SUM = "step", "BATCH_MATMUL alone", "ADD alone"
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


def measure(path: Path, threads: int, blocks: int, steps: int) -> list[Repetition]:
    """One file, and the single operators in turn with it."""
    exported = artifact.read(path)
    manifest = exported.manifest
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    train = interpreter.get_signature_runner("train")
    inputs = random_samples.of(manifest, "train")
    product = alone(lambda a, b: tf.raw_ops.BatchMatMulV2(x=a, y=b), [1, SIDE, SIDE], threads)
    addition = alone(tf.add, [LENGTH], threads)
    runs = {STEP: lambda: train(**inputs), PRODUCT: product, SUM: addition}
    systems = {name: timed(run) for name, run in runs.items()}
    taken = in_turn(systems, Plan(blocks, Limit(steps), warm_up=Limit(2)))
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
    values = {
        STEP: {
            "gflop": manifest.flops_per_step / 1e9,
            "products_fraction": products / every,
            "moved_gb": moved_bytes(graph, others) / 1e9,
        },
        PRODUCT: {"gflop": 2 * SIDE**3 / 1e9},
        SUM: {"moved_gb": 3 * LENGTH * 4 / 1e9},
    }
    return [
        Repetition(
            Configuration(
                workload=manifest.name,
                system=name,
                runtime=f"ai-edge-litert {version('ai-edge-litert')}",
                model_sha256=records.sha256(path.read_bytes()) if name == STEP else None,
                settings={"threads": threads, "batch_size": manifest.batch_size},
            ),
            blocks=found,
            values=values[name],
        )
        for name, found in taken.items()
    ]


def row(repetitions: Sequence[Repetition]) -> Row:
    """What the table shows of one file."""
    step, product, addition = (
        next(r for r in repetitions if r.configuration.system == name)
        for name in (STEP, PRODUCT, SUM)
    )
    return Row(
        model=step.configuration.workload,
        step_ms=step.median_ms,
        gflop=step.values["gflop"],
        products=step.values["products_fraction"],
        passes=1.0 - step.values["products_fraction"],
        moved_gb=step.values["moved_gb"],
        alone_gflop_per_s=product.values["gflop"] / product.median_ms * 1e3,
        alone_gb_per_s=addition.values["moved_gb"] / addition.median_ms * 1e3,
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
    records.add_json(parser, also_printed=True)
    parser.add_argument("--write", type=Path, help="put the table between the document's markers")
    options = parser.parse_args()
    found = [
        measure(path, options.threads, options.blocks, options.steps) for path in options.files
    ]
    lines = [HEAD, ["---"] * len(HEAD), *(row(repetitions).cells() for repetitions in found)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if options.json != records.STANDARD_OUTPUT:
        print(table)
    settings = {"blocks": options.blocks, "steps": options.steps}
    every = [repetition for repetitions in found for repetition in repetitions]
    records.output(records.result(__file__, settings, every), options.json)
    if options.write:
        text = options.write.read_text()
        options.write.write_text(insert(text, table, "bounds"))


if __name__ == "__main__":
    main()

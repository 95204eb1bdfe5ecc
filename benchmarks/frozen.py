"""Times a frozen model beside the same network converted by TensorFlow's own converter, in turn.

usage: frozen.py [--models lenet small-cnn reduced-mobilenet] [--batch-size 1] [--json FILE]
                 [--write docs/performance.md]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "export")]

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from support import records  # noqa: E402
from support.documents import insert  # noqa: E402

from tfplus.measure import ratios  # noqa: E402
from tfplus.measure.alternation import Limit, Plan, in_turn, timed  # noqa: E402
from tfplus.measure.result import Configuration, Repetition, median_ms  # noqa: E402
from tfplus.model_file import artifact, baked_model  # noqa: E402
from tfplus_export.pipeline import api  # noqa: E402
from tfplus_export.sources import source  # noqa: E402

# The threads of the one before still wait for more work, awake.
SETTLE_S = 0.05
FROZEN, CONVERTER, INFER = "frozen", "TensorFlow's converter", "trainable file's infer"
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


def measure(name: str, options: argparse.Namespace) -> list[Repetition]:
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
    chosen = api.Options(8, infer_batch_size=batch, parity_steps=1, bakeable=True)
    with tempfile.TemporaryDirectory() as folder:
        trainable = Path(folder) / "trainable.tflite"
        written = api.export(loaded, trainable, chosen, lambda text: None)
        checkpoint = Path(folder) / "weights.safetensors"
        save_file(artifact.initial_values(written), checkpoint)
        frozen = baked_model.freeze(written, checkpoint, Path(folder) / "frozen.tflite")
        contents = {
            FROZEN: frozen.path.read_bytes(),
            CONVERTER: converted(loaded.model, batch, f"{folder}/saved"),
            # The first graph of the trainable file is that of `infer`.
            INFER: written.path.read_bytes()[: written.manifest.flatbuffer_bytes],
        }
    shape = (batch, *written.manifest.input_shape)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    runs = {n: timed(runner(content, x, options.threads)) for n, content in contents.items()}
    plan = Plan(
        options.blocks,
        Limit(options.runs),
        warm_up=Limit(options.warmup) if options.warmup else None,
        settle=Limit(sys.maxsize, SETTLE_S),
    )
    blocks = in_turn(runs, plan)
    print(f"\n{name}, batch {batch}; frozen equals the trainable model to {frozen.difference:.0e}")
    for system, content in contents.items():
        print(
            f"  {system:<24}{median_ms(blocks[system]):>9.3f} ms  "
            f"{ratios.time_ratio(blocks[system], blocks[CONVERTER]):>6.2f} of the converter's"
            f"  {len(content) / 1e3:>8.0f} kB"
        )
    return [
        Repetition(
            Configuration(
                workload=f"{name}, batch {batch}",
                system=system,
                runtime=f"ai-edge-litert {version('ai-edge-litert')}",
                model_sha256=records.sha256(content),
                settings={"model": name, "threads": options.threads, "batch_size": batch},
            ),
            blocks=blocks[system],
            values={"file_bytes": len(content), "largest_difference": float(frozen.difference)},
        )
        for system, content in contents.items()
    ]


def table(results: dict[str, list[Repetition]], options: argparse.Namespace) -> str:
    """All models for the document."""
    systems = [r.configuration.system for r in next(iter(results.values()))]
    lines = [
        f"TensorFlow {tf.__version__}, ai-edge-litert {version('ai-edge-litert')}, batch "
        f"{options.batch_size}, {options.threads} threads; {options.blocks} blocks of "
        f"{options.runs} inferences, in turn. Milliseconds, and multiples of the\nconverter's: "
        "below 1 is faster.\n",
        f"| model | {' | '.join(systems)} | frozen equals the trainable model to |",
        "|---|" + "---|" * (len(systems) + 1),
    ]
    for name, found in results.items():
        blocks = {r.configuration.system: r.blocks for r in found}
        cells = [
            f"{median_ms(blocks[s]):.3f}, {ratios.time_ratio(blocks[s], blocks[CONVERTER]):.2f}"
            for s in systems
        ]
        difference = found[0].values["largest_difference"]
        lines.append(f"| {name} | {' | '.join(cells)} | {difference:.0e} |")
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
    records.add_json(parser)
    parser.add_argument("--write", type=Path, help="put the table between the document's markers")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    print(f"TensorFlow {tf.__version__}, {options.threads} threads")
    results = {name: measure(name, options) for name in options.models}
    if options.write:
        text = table(results, options)
        options.write.write_text(insert(options.write.read_text(), text, "frozen"))
    settings = {"blocks": options.blocks, "runs": options.runs, "tensorflow": tf.__version__}
    found = [repetition for row in results.values() for repetition in row]
    records.output(records.result(__file__, settings, found), options.json)


main()

"""Trains an exported file under whichever TFLite runtime this Python has; prints each loss.

usage: run_steps.py xnnpack|plain MODEL BATCHES.npz
"""

import sys

import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
except ImportError:
    from tflite_runtime.interpreter import Interpreter, OpResolverType

RESOLVERS = {
    "xnnpack": OpResolverType.AUTO,
    "plain": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}


def main() -> None:
    """Runs every batch once, in order."""
    runtime, model, path = sys.argv[1:]
    batches = np.load(path)
    interpreter = Interpreter(
        model_path=model, num_threads=2, experimental_op_resolver_type=RESOLVERS[runtime]
    )
    train = interpreter.get_signature_runner("train")
    for x, y in zip(batches["x"], batches["y"], strict=True):
        sys.stdout.write(f"{float(train(x=x, y=y)['loss'][0])!r}\n")


main()

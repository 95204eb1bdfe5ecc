"""Trains an exported file a few steps; prints the peak resident memory of the process in bytes.

usage: run_peak.py MODEL
"""

import sys
from pathlib import Path

import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter


def main() -> None:
    """Takes three steps on random samples."""
    train = Interpreter(sys.argv[1], num_threads=2).get_signature_runner("train")
    rng = np.random.default_rng(0)
    inputs = {
        name: rng.standard_normal(detail["shape"]).astype(np.float32)
        if detail["dtype"] is np.float32
        else np.zeros(detail["shape"], detail["dtype"])
        for name, detail in train.get_input_details().items()
    }
    for _ in range(3):
        train(**inputs)
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    sys.stdout.write(f"{int(peak) * 1024}\n")


main()

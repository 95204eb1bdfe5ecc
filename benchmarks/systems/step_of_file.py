"""Any exported graph on ai-edge-litert, with or without a manifest.

usage: step_of_file.py MODEL THREADS
"""

from __future__ import annotations

import sys
from importlib.metadata import version

from ai_edge_litert.interpreter import Interpreter
from protocol import serve

path, threads = sys.argv[1:]
train = Interpreter(model_path=path, num_threads=int(threads)).get_signature_runner("train")
shapes = {name: detail["shape"] for name, detail in train.get_input_details().items()}
serve(
    lambda x, y: train(x=x, y=y),
    f"ai-edge-litert {version('ai-edge-litert')}",
    tuple(int(d) for d in shapes["x"][1:]),
    int(shapes["x"][0]),
    2,
    0,
)

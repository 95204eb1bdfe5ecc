"""The exported file on ai-edge-litert.

usage: exported.py MODEL THREADS
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter
from protocol import serve

from tfplus.model_file import artifact

path, threads = sys.argv[1:]
manifest = artifact.read(Path(path)).manifest
interpreter = Interpreter(model_path=path, num_threads=int(threads))
train = interpreter.get_signature_runner("train")
serve(
    lambda x, y: train(x=x, y=y),
    f"ai-edge-litert {version('ai-edge-litert')}",
    manifest.input_shape,
    manifest.batch_size,
    len(manifest.classes or ()),
    manifest.parameters,
)

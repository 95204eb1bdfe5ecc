"""The same networks in MNN's training.

usage: mnn_training.py NAME BATCH THREADS
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import MNN
import numpy as np
from prepared import prepared
from protocol import serve

expr, nn = MNN.expr, MNN.nn
name, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
expr.set_thread_number(threads)
# Else each expression is computed at once and forgets what it came from: no gradient.
expr.lazy_eval(True)
with tempfile.TemporaryDirectory() as temporary:
    network = prepared(name, batch, Path(temporary), "mnn")
    graph = expr.load_as_dict(str(Path(temporary) / "model.mnn"))
    model = nn.load_module([graph["x"]], [graph["logits"]], True)
model.train(True)
optimizer = MNN.optim.SGD(model, 0.01, 0.0, 0.0)


def step(x: np.ndarray, y: np.ndarray) -> float:
    """One step of SGD."""
    values = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    image = expr.convert(expr.const(values, list(values.shape), expr.NCHW), expr.NC4HW4)
    labels = expr.const(y, [batch], expr.NCHW, expr.int)
    target = expr.one_hot(labels, network.classes, 1.0, 0.0)
    logits = expr.reshape(model.forward(image), [batch, network.classes])
    loss = nn.loss.cross_entropy(expr.softmax(logits, 1), target)
    value = float(loss.read())
    if not optimizer.step(loss):
        raise SystemExit(f"MNN computes no gradient of {name}")
    return value


version = f"MNN {MNN.version()}"
serve(step, version, network.shape, batch, network.classes, network.parameters)

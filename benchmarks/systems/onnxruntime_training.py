"""The same networks in ONNX Runtime's on-device training.

usage: onnxruntime_training.py NAME BATCH THREADS
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from prepared import with_artifacts
from protocol import serve

# ONNX Runtime imports PyTorch where it is installed, and its memory would count.
sys.modules["torch"] = None
import onnxruntime  # noqa: E402
from onnxruntime.capi import _pybind_state as native  # noqa: E402

name, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    network = with_artifacts(name, batch, folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    device = native.OrtDevice(native.OrtDevice.cpu(), native.OrtDevice.default_memory(), 0)
    state = native.load_checkpoint(str(folder / "checkpoint"))
    graph, update = str(folder / "training_model.onnx"), str(folder / "optimizer_model.onnx")
    module = native.Module(graph, state, None, device, options)
    optimizer = native.Optimizer(update, state, device, options)
optimizer.set_learning_rate(0.01)


def step(x: np.ndarray, y: np.ndarray) -> float:
    """One step of SGD."""
    image = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    fetches = native.OrtValueVector()
    module.train_step([image, y.astype(np.int64)], fetches)
    optimizer.optimizer_step()
    module.lazy_reset_grad()
    return float(fetches[0].numpy())


version = f"ONNX Runtime training {onnxruntime.__version__}"
serve(step, version, network.shape, batch, network.classes, network.parameters)

"""One graph, run once on the GPU and on the CPU.

usage: python tests/export/support/gpu_graph.py FOLDER

FOLDER holds `graph.tflite` and `inputs.npz`; `outputs.npz` is added. The GPU has a process of its
own, since the delegate ends it on some graphs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tfplus.errors import WorkerError
from tfplus.runtime import gpu
from tfplus.runtime.gpu import NoAcceleratorError, NotTakenError

TIMEOUT_S = 300
RIGHT, WRONG, NOT_TAKEN = "right", "wrong", "not delegated"
# Relative to the largest element of any output.
TOLERANCE = 1e-4
_NOT_TAKEN, _NO_GPU = 4, 3
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What the delegate made of a graph.

    Attributes:
      state: `RIGHT`, `WRONG`, `NOT_TAKEN`, or how the process ended.
      error: largest difference from the CPU, relative to the largest element of any output; None
        where nothing came out.
    """

    state: str
    error: float | None = None


def converted(function: Callable[..., dict[str, Any]], shapes: Mapping[str, Any]) -> bytes:
    """A function of float32 tensors as a flatbuffer.

    Args:
      function: name of an argument → tensor, to name → tensor.
      shapes: name of an argument → its shape.
    """
    # The process on the GPU runs this very file, and has no need of TensorFlow.
    import tensorflow as tf

    specs = {n: tf.TensorSpec(s, tf.float32, name=n) for n, s in shapes.items()}
    module = tf.Module()
    module.step = tf.function(lambda **given: function(**given), autograph=False)
    concrete = module.step.get_concrete_function(**specs)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


def compared(content: bytes, feed: Arrays) -> Outcome:
    """Runs a graph on both.

    Raises:
      NoAcceleratorError: there is no GPU.
    """
    runner = Interpreter(model_content=content).get_signature_runner()
    feed = {n: np.ascontiguousarray(feed[n]) for n in runner.get_input_details()}
    want = runner(**feed)
    with tempfile.TemporaryDirectory(prefix="tfplus-gpu-") as name:
        folder = Path(name)
        (folder / "graph.tflite").write_bytes(content)
        np.savez(folder / "inputs.npz", **feed)
        command = [sys.executable, __file__, name]
        try:
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return Outcome(f"does not end in {TIMEOUT_S} s")
        code = done.returncode
        if code == _NO_GPU:
            raise NoAcceleratorError("LiteRT finds no GPU")
        if code == _NOT_TAKEN:
            return Outcome(NOT_TAKEN)
        if code:
            how = signal.Signals(-code).name if code < 0 else str(code)
            return Outcome(f"ends the process ({how})")
        with np.load(folder / "outputs.npz") as got:
            scale = max(float(np.max(np.abs(w))) for w in want.values())
            # NaN counts as an error.
            worst = float(np.max([np.max(np.abs(got[n] - w)) for n, w in want.items()])) / scale
    return Outcome(RIGHT if worst <= TOLERANCE else WRONG, worst)


def _run(folder: Path) -> int:
    try:
        compiled = gpu.compiled((folder / "graph.tflite").read_bytes())
    except NotTakenError:
        return _NOT_TAKEN
    except NoAcceleratorError:
        return _NO_GPU
    except WorkerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    ((key, _),) = compiled.get_signature_list().items()
    details = compiled.get_output_tensor_details(key)
    inputs = {
        n: compiled.create_input_buffer_by_name(key, n)
        for n in compiled.get_input_tensor_details(key)
    }
    outputs = {n: compiled.create_output_buffer_by_name(key, n) for n in details}
    with np.load(folder / "inputs.npz") as feed:
        for name, buffer in inputs.items():
            buffer.write(feed[name])
    compiled.run_by_name(key, inputs, outputs)
    shapes = {n: tuple(details[n]["shape"]) for n in outputs}
    found = {
        n: b.read(int(np.prod(shapes[n])), np.float32).reshape(shapes[n])
        for n, b in outputs.items()
    }
    np.savez(folder / "outputs.npz", **found)
    return 0


if __name__ == "__main__":
    # Some drivers hang when they are taken down.
    os._exit(_run(Path(sys.argv[1])))

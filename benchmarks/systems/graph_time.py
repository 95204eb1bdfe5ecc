"""Times one graph, or a whole training step, on the CPU or the GPU.

usage: graph_time.py FILE cpu|gpu THREADS READ_EVERY

FILE is a flatbuffer with one signature, or an exported file, whose training step is taken. The GPU
is waited for by reading an output after READ_EVERY runs; its time is divided by them. It is told
when to run, see `protocol.py`; what cannot run here is answered by a line with an `error`.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from protocol import answer, own_output

from tfplus.errors import WorkerError
from tfplus.measure.alternation import Limit, RunBlock, timed
from tfplus.model_file import artifact
from tfplus.runtime import gpu, interpreter
from tfplus.runtime.gpu_model import GpuModel

Run = Callable[[], None]
Wait = Callable[[], object]


def whole_step(path: Path, on_gpu: bool, threads: int) -> tuple[Run, Wait]:
    """The training step of an exported file."""
    read = artifact.read(path)
    rng = np.random.default_rng(0)
    batch = {
        n: rng.random(i.shape, np.float32) if i.dtype == "float32" else np.zeros(i.shape, i.dtype)
        for n, i in read.manifest.signatures["train"].inputs.items()
    }
    if on_gpu:
        model = GpuModel(read)
    else:
        found = interpreter.find("ai-edge-litert")
        model = found.open(path, read.manifest, threads=threads, xnnpack=True)
    return lambda: model.step(batch), model.metrics


def one_graph(path: Path, on_gpu: bool, threads: int) -> tuple[Run, Wait]:
    """A graph with one signature."""
    content = path.read_bytes()
    rng = np.random.default_rng(0)

    def values(details: dict[str, Any]) -> dict[str, np.ndarray]:
        # Positive, since some are variances.
        return {
            n: np.abs(rng.standard_normal([int(s) for s in d["shape"]], np.float32)) + 0.1
            for n, d in details.items()
        }

    if not on_gpu:
        interpreter = Interpreter(model_content=content, num_threads=threads)
        runner = interpreter.get_signature_runner()
        feed = values(runner.get_input_details())
        return lambda: runner(**feed), lambda: None
    compiled = gpu.compiled(content)
    (key,) = compiled.get_signature_list()
    inputs = {}
    for name, value in values(compiled.get_input_tensor_details(key)).items():
        inputs[name] = compiled.create_input_buffer_by_name(key, name)
        inputs[name].write(value)
    details = compiled.get_output_tensor_details(key)
    outputs = {n: compiled.create_output_buffer_by_name(key, n) for n in details}
    name = min(details, key=lambda n: int(np.prod(details[n]["shape"])))
    count = int(np.prod(details[name]["shape"]))
    return (
        lambda: compiled.run_by_name(key, inputs, outputs),
        lambda: outputs[name].read(count, np.float32),
    )


def blocks_of(run: Run, wait: Wait, read_every: int) -> RunBlock:
    """Takes times of `read_every` runs at once, and divides them."""

    def runs() -> None:
        for _ in range(read_every):
            run()
        wait()

    several = timed(runs)

    def block(limit: Limit) -> list[float]:
        return [ms / read_every for ms in several(limit)]

    return block


def main() -> None:
    """Answers the parent until it closes the pipe."""
    path, device, threads, read_every = sys.argv[1:]
    out = own_output()
    # The manifest of an exported file is in a ZIP behind the flatbuffer.
    build = whole_step if zipfile.is_zipfile(path) else one_graph
    about = {"version": f"ai-edge-litert {version('ai-edge-litert')}"}
    try:
        run, wait = build(Path(path), device == "gpu", int(threads))
        answer(out, blocks_of(run, wait, int(read_every)), about)
    except (WorkerError, RuntimeError) as error:
        out.write(json.dumps({"error": " ".join(str(error).split())}) + "\n")
    out.flush()
    # Some drivers hang when they are taken down.
    os._exit(0)


main()

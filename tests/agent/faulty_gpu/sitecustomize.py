"""Python runs this at its start where the folder is on PYTHONPATH: a GPU that can be made to fail.

The stateless graph runs on LiteRT's CPU in place of a GPU, so that no driver is needed. FAULTY_GPU
says how it fails, and after how many steps of one process: `raise 12`, `abort 12`, `hang 12`,
`wrong 0`, `full 0` (no room for the model), `none 0`, or `software 0` (a program on the CPU).
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

import numpy as np
from ai_edge_litert import compiled_model
from ai_edge_litert.compiled_model import CompiledModel

FAULT, _, STEPS = os.environ.get("FAULTY_GPU", "none 0").partition(" ")
taken = 0


def from_buffer(graph: bytes, options: Any) -> Any:
    if FAULT == "full" and len(graph) > 10_000:
        sys.stderr.write("E0000 00:00:1.0 1 x.cc:1] RESOURCE_EXHAUSTED: 4294967296 bytes\n")
        raise RuntimeError("Failed to modify graph with delegate")
    kind = "CPU" if FAULT == "software" else "Discrete"
    sys.stderr.write(f"Selected adapter: Faulty, arch=none, vendor=us, adapterType={kind}\n")
    return real_from_buffer(graph, compiled_model.HardwareAccelerator.CPU)


def run_by_name(self: CompiledModel, key: str, inputs: Any, outputs: Any) -> None:
    global taken
    if key == "train":
        taken += 1
    if taken > int(STEPS):
        fail(inputs)
    real_run(self, key, inputs, outputs)


def fail(inputs: Any) -> None:
    if FAULT == "raise":
        raise RuntimeError("Device lost")
    if FAULT == "abort":
        os.abort()
    if FAULT == "hang":
        # PyDLL keeps Python's lock, as LiteRT does while it waits for a GPU.
        libc = ctypes.PyDLL(None)
        while True:
            libc.pause()
    if FAULT == "wrong":
        x = inputs["x"]
        x.write(x.read(16 * 64, np.float32)[::-1])


real_run, real_from_buffer = CompiledModel.run_by_name, CompiledModel.from_buffer
CompiledModel.run_by_name = run_by_name
CompiledModel.from_buffer = staticmethod(from_buffer)

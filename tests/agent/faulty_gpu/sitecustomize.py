"""Python runs this at its start where the folder is on PYTHONPATH: a GPU that can be made to fail.

The stateless graph runs on LiteRT's CPU in place of a GPU, so that no driver is needed. FAULTY_GPU
says how it fails, and after how many steps of one process: `raise 12`, `abort 12`, `hang 12`,
`wrong 0`, `full 0` (no room for the model) or `none 0`.
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


def opened_on_the_cpu(name: str) -> Any:
    on_real = getattr(CompiledModel, name)

    def opened(what: Any, hardware_accel: Any = None) -> Any:
        sys.stderr.write("Selected adapter: Faulty, arch=none, vendor=us, adapterType=Discrete\n")
        if FAULT == "full":
            raise RuntimeError("Failed to allocate 4294967296 bytes on the device")
        return on_real(what, compiled_model.HardwareAccelerator.CPU)

    return opened


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
        x.write(x.read(16 * 64, np.float32) * 2)


real_run = CompiledModel.run_by_name
for method in ("from_file", "from_buffer"):
    setattr(CompiledModel, method, staticmethod(opened_on_the_cpu(method)))
CompiledModel.run_by_name = run_by_name

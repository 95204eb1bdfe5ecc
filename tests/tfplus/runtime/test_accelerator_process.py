"""What is made of a process that fails on the GPU, from what LiteRT and the driver wrote."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

import numpy as np
import pytest

from tfplus.errors import WorkerError
from tfplus.runtime import accelerator_process
from tfplus.runtime.accelerator_process import Step
from tfplus.runtime.gpu import CompileError, NoAcceleratorError, NotTakenError

# As ai-edge-litert 2.3 writes it.
TOO_LARGE = (
    "E0000 00:00:1795238427.976669   11452 delegate_webgpu.cc:478] Failed to create "
    "litert::ml_drift::DelegateKernelLiteRt: RESOURCE_EXHAUSTED: Requested allocation size - "
    "1600000000 bytes.\nERROR: Failed to initialize kernel.\n"
)
NO_MEMORY = (
    "E0000 00:00:1795243632.198774    6096 environment.cc:105] Out of memory: vkAllocateMemory "
    "failed with VK_ERROR_OUT_OF_DEVICE_MEMORY\n    at CheckVkOOMThenSuccessImpl\n"
)
SHADER = "E0000 00:00:1.2    6 environment.cc:105] Validation error: a shader\n"
LEFT = (
    "ERROR: Following operations are not supported by GPU delegate:\n"
    "GATHER: Only support 1D indices\nSCATTER_ND: Operation is not supported.\n"
    "12 operations will run on the GPU, and the remaining 2 operations will run on the CPU.\n"
)


@pytest.mark.parametrize(
    ("code", "said", "kind", "message"),
    [
        (3, "", NoAcceleratorError, "finds no GPU"),
        (4, LEFT, NotTakenError, "^GATHER: Only support 1D indices; SCATTER_ND: .* supported.$"),
        (5, TOO_LARGE, CompileError, "no room for the step: Requested allocation size"),
        (5, NO_MEMORY, CompileError, "no room for the step: vkAllocateMemory failed"),
        (-signal.SIGSEGV, NO_MEMORY, CompileError, "no room for the step: vkAllocateMemory"),
        (5, SHADER, CompileError, "failed to compile the step: Validation error: a shader"),
        (5, "", CompileError, "may be too large"),
        (-signal.SIGABRT, "INFO: x\nabort: y\n", WorkerError, "killed by SIGABRT: abort: y"),
        (1, "", WorkerError, "ended with exit code 1: it said nothing"),
    ],
)
def test_a_failure_is_told_by_its_cause(
    code: int, said: str, kind: type[WorkerError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(arguments, code, "", said)

    monkeypatch.setattr(accelerator_process.child_process, "run", failed)
    step = Step({"w": np.zeros((1,), np.float32)}, {})
    with pytest.raises(kind, match=message) as caught:
        accelerator_process.run(b"", [step], ("loss",))
    assert type(caught.value) is kind
    if isinstance(caught.value, NotTakenError):
        assert caught.value.operators == ("GATHER", "SCATTER_ND")

"""LiteRT's profiler, through the C library that its wheel brings.

Its Python classes have no way to it. A mistake in a C call ends the process, so only the process of
`tfplus.profiling.process` calls this.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.errors import WorkerError
from tfplus.tensors.slices import Tensors

# As `tflite::Profiler::EventType` counts them.
RUN, OPERATOR, IN_DELEGATE = 1, 2, 8
_TELEMETRY = 16
INVOKE = "Invoke"

_CPU = 1
_WRITE = 1
_LIBRARY = "libLiteRt.so"


class _Memory(ctypes.Structure):
    _fields_ = (
        ("footprint", ctypes.c_int64),
        ("total", ctypes.c_int64),
        ("in_use", ctypes.c_int64),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory_before", _Memory),
        ("memory_after", _Memory),
        ("index", ctypes.c_uint64),
        ("subgraph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


class _Layout(ctypes.Structure):
    _fields_ = (
        ("rank", ctypes.c_uint32),
        ("dimensions", ctypes.c_int32 * 8),
        ("strides", ctypes.c_uint32 * 8),
    )


class _TensorType(ctypes.Structure):
    _fields_ = (("element", ctypes.c_int), ("layout", _Layout))


_RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@dataclass(frozen=True)
class Event:
    """One entry of the profiler.

    Attributes:
      kind: `OPERATOR`, `IN_DELEGATE`, or `RUN` for a whole run.
      index: of the operator in the graph, or of XNNPACK's operator in its partition.
      us: what it took, in whole microseconds.
      tag: what the runtime calls it.
    """

    kind: int
    index: int
    us: int
    tag: str


class ProfiledModel:
    """A signature of a model file under LiteRT, with its profiler on.

    Args:
      path: of the file.
      signature: what is run.
      threads: of the runtime.
      xnnpack: whether XNNPACK takes what it can.

    Raises:
      WorkerError: this LiteRT has no profiler, or does not take the file.
    """

    def __init__(self, path: Path, signature: str, *, threads: int, xnnpack: bool) -> None:
        self._c = _library()
        self._libc = ctypes.CDLL(None)
        self._libc.strdup.restype = ctypes.c_void_p
        self._libc.free.argtypes = [ctypes.c_void_p]
        self._release = _RELEASE(self._libc.free)
        self._environment = self._made("CreateEnvironment", ctypes.c_int(0), None)
        model = self._made("CreateModelFromFile", self._environment, str(path).encode())
        self._compiled = self._made(
            "CreateCompiledModel", self._environment, model, self._options(threads, xnnpack)
        )
        self._profiler = self._made("CompiledModelGetProfiler", self._compiled)
        self._index, found = self._signature(model, signature)
        self._inputs = self._buffers(found, "Input")
        self._outputs = self._buffers(found, "Output")

    def set_inputs(self, values: Tensors) -> None:
        """Writes the inputs: name → array of the signature's shape and dtype.

        Raises:
          WorkerError: one is missing, or has another size.
        """
        for name, buffer in self._inputs.items():
            size = ctypes.c_size_t()
            self._call("GetTensorBufferPackedSize", buffer, ctypes.byref(size))
            raw = np.ascontiguousarray(values[name]).tobytes() if name in values else b""
            if len(raw) != size.value:
                raise WorkerError(f"input '{name}': expected {size.value} bytes, got {len(raw)}")
            place = ctypes.c_void_p()
            self._call("LockTensorBuffer", buffer, ctypes.byref(place), ctypes.c_int(_WRITE))
            ctypes.memmove(place, raw, len(raw))
            self._call("UnlockTensorBuffer", buffer)

    def run(self) -> None:
        """Runs once, without profiling."""
        self._call(
            "RunCompiledModel",
            self._compiled,
            ctypes.c_size_t(self._index),
            *_array(self._inputs),
            *_array(self._outputs),
        )

    def profile(self) -> list[Event]:
        """Runs once and returns what the profiler noted, in the order in which it ran."""
        self._call("ResetProfiler", self._profiler)
        self._call("StartProfiler", self._profiler)
        self.run()
        self._call("StopProfiler", self._profiler)
        count = ctypes.c_int()
        self._call("GetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (_Event * count.value)()
        self._call("GetProfilerEvents", self._profiler, count, events)
        known = {RUN, OPERATOR, IN_DELEGATE}
        # Powers of two from there on are telemetry.
        if any(e.type not in known and e.type < _TELEMETRY for e in events):
            raise WorkerError("the profiler's events are not those of LiteRT 2.3")
        return [
            Event(e.type, e.index, e.elapsed_us, (e.tag or b"").decode(errors="replace"))
            for e in events
            if e.type in known
        ]

    def _options(self, threads: int, xnnpack: bool) -> ctypes.c_void_p:
        options = self._made("CreateOptions")
        self._call("SetOptionsHardwareAccelerators", options, ctypes.c_int(_CPU))
        kernels = "" if xnnpack else 'kernel_mode = "builtin"\n'
        for name, text in (
            ("runtime_options_string", "enable_profiling = true\n"),
            ("xnnpack", f"num_threads = {threads}\n{kernels}"),
        ):
            copy = ctypes.c_void_p(self._libc.strdup(text.encode()))
            opaque = self._made("CreateOpaqueOptions", name.encode(), copy, self._release)
            self._call("AddOpaqueOptions", options, opaque)
        return options

    def _signature(self, model: ctypes.c_void_p, name: str) -> tuple[int, ctypes.c_void_p]:
        count = ctypes.c_size_t()
        self._call("GetNumModelSignatures", model, ctypes.byref(count))
        for index in range(count.value):
            found = self._made("GetModelSignature", model, ctypes.c_size_t(index))
            key = ctypes.c_char_p()
            self._call("GetSignatureKey", found, ctypes.byref(key))
            if key.value == name.encode():
                return index, found
        raise WorkerError(f"the file has no signature '{name}'")

    def _buffers(self, signature: ctypes.c_void_p, kind: str) -> dict[str, ctypes.c_void_p]:
        count = ctypes.c_size_t()
        self._call(f"GetNumSignature{kind}s", signature, ctypes.byref(count))
        buffers: dict[str, ctypes.c_void_p] = {}
        for place in range(count.value):
            at = ctypes.c_size_t(place)
            name = ctypes.c_char_p()
            self._call(f"GetSignature{kind}Name", signature, at, ctypes.byref(name))
            tensor = self._made(f"GetSignature{kind}TensorByIndex", signature, at)
            described = _TensorType()
            self._call("GetRankedTensorType", tensor, ctypes.byref(described))
            needs = self._made(
                f"GetCompiledModel{kind}BufferRequirements",
                self._compiled,
                ctypes.c_size_t(self._index),
                at,
            )
            buffers[(name.value or b"").decode()] = self._made(
                "CreateManagedTensorBufferFromRequirements",
                self._environment,
                ctypes.byref(described),
                needs,
            )
        return buffers

    def _made(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self._call(name, *arguments, ctypes.byref(made))
        return made

    def _call(self, name: str, *arguments: Any) -> None:
        function: Callable[..., int] = getattr(self._c, f"LiteRt{name}")
        status = function(*arguments)
        if status:
            raise WorkerError(f"LiteRt{name} failed with status {status}")


def _array(buffers: Mapping[str, ctypes.c_void_p]) -> tuple[ctypes.c_size_t, Any]:
    return ctypes.c_size_t(len(buffers)), (ctypes.c_void_p * len(buffers))(*buffers.values())


def _library() -> ctypes.CDLL:
    found = importlib.util.find_spec("ai_edge_litert")
    path = Path(found.origin).with_name(_LIBRARY) if found and found.origin else Path(_LIBRARY)
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise WorkerError(f"{_LIBRARY} of ai-edge-litert cannot be loaded: {error}") from None
    if not hasattr(library, "LiteRtGetProfilerEvents"):
        raise WorkerError("this ai-edge-litert has no profiler: expected 2.3 or newer")
    return library

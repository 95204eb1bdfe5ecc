"""How the messages between daemon and worker are written and read.

A message goes as `framing` describes it: its kind and its fields in the header, tensors behind it.
What comes is held against the types of the dataclass before anybody uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from tfplus import errors
from tfplus.data.scaling import Scaling
from tfplus.errors import TfplusError, UsageError, WorkerError
from tfplus.runtime.gpu import Precision, precision_named
from tfplus.system.checked_json import Fields
from tfplus.system.processor_use import ProcessorUse
from tfplus.tensors.slices import Tensors
from tfplus.training.benchmark import Timings
from tfplus.training.epoch import EpochPlan, EpochResult, StepEvent
from tfplus.training.evaluation import Evaluation
from tfplus_agent.worker.framing import FramingError, Reader, Writer, read_message, write_message
from tfplus_agent.worker.messages import (
    Alive,
    Benchmark,
    Cancel,
    Done,
    Evaluate,
    Failed,
    Loaded,
    Message,
    Predict,
    Restore,
    Save,
    Variables,
    WorkerSetup,
)
from tfplus_agent.worker.tensor_blob import packed, unpacked

_KINDS: Mapping[str, type[Message]] = MappingProxyType(
    {
        "load": WorkerSetup,
        "train": EpochPlan,
        "evaluate": Evaluate,
        "predict": Predict,
        "benchmark": Benchmark,
        "timings": Timings,
        "save": Save,
        "restore": Restore,
        "cancel": Cancel,
        "loaded": Loaded,
        "trained": EpochResult,
        "evaluated": Evaluation,
        "variables": Variables,
        "done": Done,
        "failed": Failed,
        "step": StepEvent,
        "alive": Alive,
    }
)
_NAMES = {kind: name for name, kind in _KINDS.items()}
# What a worker may fail with; whatever else goes wrong in it is a WorkerError.
ERRORS: Mapping[str, type[TfplusError]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            errors.ArtifactError,
            errors.DamagedFileError,
            errors.DataError,
            errors.MissingExtraError,
            errors.RuntimeVersionError,
            errors.TensorError,
            errors.UsageError,
            errors.WorkerError,
        )
    }
)


def kind_of(message: Message) -> str:
    """The name of a message's kind, such as `train`."""
    return _NAMES[type(message)]


def failed(error: TfplusError) -> Failed:
    """The reply to a request that ended in an error."""
    names = (kind.__name__ for kind in type(error).__mro__)
    return Failed(next((n for n in names if n in ERRORS), WorkerError.__name__), str(error))


def send(stream: Writer, message: Message) -> None:
    """Writes a message.

    Raises:
      FramingError: it is above a cap; nothing was written.
      OSError: the other side is gone.
    """
    header: dict[str, Any] = {"kind": kind_of(message)}
    blob: bytes | Sequence[memoryview] = b""
    for entry in fields(message):
        value = getattr(message, entry.name)
        if entry.type == _TENSORS:
            header[entry.name], blob = packed(value)
        elif entry.type == _TIMES:
            blob = np.asarray(value, "<f8").tobytes()
        else:
            header[entry.name] = _plain(value)
    write_message(stream, header, blob)


def receive(stream: Reader) -> Message | None:
    """Reads a message; None where the stream ends before one begins.

    Raises:
      FramingError: it is cut off, above a cap, or not what its kind says.
    """
    found = read_message(stream)
    return None if found is None else decoded(*found)


def decoded(header: Mapping[str, Any], blob: memoryview) -> Message:
    """Makes a message of its header and its blob.

    Raises:
      FramingError: they are not what the message's kind says.
    """
    read = _Checked(dict(header))
    name = read.choice("kind", _KINDS)
    kind = _KINDS[name]
    given: dict[str, Any] = {}
    takes_blob = False
    for entry in fields(kind):
        if entry.type == _TENSORS:
            takes_blob, given[entry.name] = True, _tensors(header.get(entry.name), blob)
        elif entry.type == _TIMES:
            takes_blob, given[entry.name] = True, _times(blob)
        else:
            given[entry.name] = _READERS[str(entry.type)](read, entry.name)
    unknown = sorted(set(header) - {"kind", *given})
    if unknown or (len(blob) and not takes_blob):
        raise FramingError(f"message '{name}': did not expect {unknown or f'{len(blob)} bytes'}")
    if isinstance(given.get("error"), str) and given["error"] not in ERRORS:
        raise read.wrong("error", f"one of {sorted(ERRORS)}", given["error"])
    return kind(**given)


class _Checked(Fields):
    document = "message"
    error = FramingError

    def count(self, name: str) -> int:
        """An integer that is not negative; a seed has 64 bits."""
        return self.integer(name, 0, 2**64 - 1)

    def any_number(self, name: str) -> float:
        """A number, also an infinite one: a loss may be."""
        return float(self._get(name, (int, float), "a number"))

    def any_numbers(self, name: str) -> dict[str, float]:
        """An object of numbers."""
        found = self.object(name)
        return {n: found.any_number(n) for n in self.mapping(name)}

    def path(self, name: str) -> Path:
        """The path of a file."""
        return Path(self.text(name))

    def path_or_none(self, name: str) -> Path | None:
        """The path of a file, or null."""
        return None if self.is_null(name) else self.path(name)

    def precision(self, name: str) -> Precision:
        """The precision of a GPU."""
        try:
            return precision_named(self.text(name))
        except UsageError as error:
            raise FramingError(f"message: {error}") from None

    def scaling_or_none(self, name: str) -> Scaling | None:
        """What becomes of stored values, or null."""
        if self.is_null(name):
            return None
        values = self.numbers(name, -math.inf)
        if len(values) != 2:
            raise self.wrong(name, "two numbers", values)
        try:
            return Scaling(*values)
        except UsageError as error:
            raise FramingError(f"message: {error}") from None

    def processor_use(self, name: str) -> ProcessorUse:
        """Whether in the background, the share of the time, the cores."""
        values = self.numbers(name, 0)
        if len(values) < 2 or not 0 < values[1] <= 1:
            raise self.wrong(name, "0 or 1, a share, and numbers of cores", values)
        background, share, *cpus = values
        return ProcessorUse(bool(background), tuple(map(int, cpus)), share)


_TENSORS = "Tensors"
_TIMES = "npt.NDArray[np.float64]"
# The type of a field, as it is written in its dataclass → what reads it.
_READERS: Mapping[str, Callable[[_Checked, str], Any]] = MappingProxyType(
    {
        "Path": _Checked.path,
        "Path | None": _Checked.path_or_none,
        "Precision": _Checked.precision,
        "ProcessorUse": _Checked.processor_use,
        "Scaling | None": _Checked.scaling_or_none,
        "bool": _Checked.boolean,
        "dict[str, float]": _Checked.any_numbers,
        "float": _Checked.any_number,
        "float | None": lambda read, n: None if read.is_null(n) else read.any_number(n),
        "int": _Checked.count,
        "int | None": lambda read, n: None if read.is_null(n) else read.count(n),
        "str": _Checked.text,
        "tuple[float, ...]": lambda read, n: read.numbers(n, -math.inf),
        "tuple[str, ...]": _Checked.texts,
    }
)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Scaling):
        return astuple(value)
    if isinstance(value, ProcessorUse):
        return [int(value.background), value.share, *value.cpus]
    return value


def _tensors(layout: Any, blob: memoryview) -> Tensors:
    try:
        return unpacked(layout, blob)
    except FramingError:
        raise
    except WorkerError as error:
        raise FramingError(str(error)) from None


def _times(blob: memoryview) -> Any:
    if len(blob) % 8:
        raise FramingError(f"message: expected float64 times, got {len(blob)} bytes")
    return np.frombuffer(blob, "<f8")

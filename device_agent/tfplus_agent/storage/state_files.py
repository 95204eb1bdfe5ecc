"""The one way in which an agent reads the files of its own state.

A file that is damaged is set aside under another name, which is logged once, and the agent goes on
with what is left. One that merely cannot be read now, as when too many files are open, stays.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from tfplus.errors import DamagedFileError, TensorError
from tfplus.system.files import read_capped, set_aside
from tfplus.tensors.slices import Tensor, check_against
from tfplus.wire.limits import DEFAULT_LIMITS, MIB, Limits

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_HEADER_BYTES = 64 * MIB
Expected = Mapping[str, tuple[tuple[int, ...], str]]
# What a safetensors file calls the dtypes that a variable can have.
_DTYPES = {
    "BOOL": "bool",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "I8": "int8",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
}


def read(path: Path, parse: Callable[[bytes], _T], max_bytes: int = MIB) -> _T:
    """Reads a small file; sets it aside where it is damaged.

    Args:
      path: of the file.
      parse: makes its content a value, or raises DamagedFileError and says what it expected.
      max_bytes: of the file.

    Raises:
      DamagedFileError: it is damaged, and was set aside.
      OSError: there is none, or it cannot be read now.
    """
    return guarded(path, lambda: parse(read_capped(path, max_bytes)))


def guarded(path: Path, reading: Callable[[], _T]) -> _T:
    """Runs what reads a file; sets the file aside where that finds it damaged.

    Raises:
      DamagedFileError: it is damaged, and was set aside; the message names it.
    """
    try:
        return reading()
    except DamagedFileError as error:
        message = f"{path}: damaged: {error}"
        try:
            message += f"; set aside as {set_aside(path).name}"
        except OSError as failure:
            message += f"; it cannot be set aside: {failure.strerror}"
        _LOG.warning("%s", message)
        raise DamagedFileError(message) from None


def optional(path: Path, parse: Callable[[bytes], _T], max_bytes: int = MIB) -> _T | None:
    """Reads a small file as `read` does; None where there is none to be read."""
    try:
        return read(path, parse, max_bytes)
    except (FileNotFoundError, DamagedFileError):
        return None
    except OSError as error:
        _LOG.warning("%s: cannot be read, going on without it: %s", path, error.strerror)
        return None


def tensors(
    path: Path, expected: Expected | None = None, limits: Limits = DEFAULT_LIMITS
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file and its metadata; every size is checked before it is allocated.

    Args:
      path: of the file.
      expected: name → (shape, dtype) of the tensors that it has to hold; None for any.
      limits: caps on any.

    Raises:
      DamagedFileError: it is no such file, or holds other tensors, or values that are not finite.
      OSError: there is none, or it cannot be read now.
    """
    # An agent that has learned nothing yet reads no such file.
    from safetensors import SafetensorError, safe_open

    status = path.stat()
    most = limits.set_bytes + _HEADER_BYTES
    if not stat.S_ISREG(status.st_mode) or not 8 <= status.st_size <= most:
        raise DamagedFileError(
            f"expected a safetensors file of at most {most} bytes, it has {status.st_size}"
        )
    try:
        with safe_open(path, "numpy") as file:
            held = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {n: (tuple(s.get_shape()), _dtype(s.get_dtype())) for n, s in held.items()}
            _check(found, found if expected is None else expected, limits)
            values = {name: file.get_tensor(name) for name in held}
            metadata = dict(file.metadata() or {})
        check_against(values, found)
    except (SafetensorError, TensorError, ValueError) as error:
        raise DamagedFileError(str(error)) from None
    return values, metadata


def _dtype(name: str) -> str:
    if name not in _DTYPES:
        raise DamagedFileError(f"expected tensors of {sorted(_DTYPES)}, got {name}")
    return _DTYPES[name]


def _check(found: Expected, expected: Expected, limits: Limits) -> None:
    if len(found) > limits.tensors:
        raise DamagedFileError(f"expected at most {limits.tensors} tensors, got {len(found)}")
    differing = sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))
    if differing:
        name = differing[0]
        raise DamagedFileError(
            f"tensor '{name}': expected {expected.get(name)}, got {found.get(name)}"
        )

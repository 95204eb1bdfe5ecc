"""A labelled sample as a row: its bytes, its hash, and reading both back with suspicion."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import DamagedFileError, DataError, UsageError
from tfplus.system import checked_json
from tfplus.system.checked_json import shown

MAX_SAMPLE_BYTES = 1 << 26
MAX_NAME_CHARS = 200
_KINDS = ("u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8")
_DTYPES = tuple(np.dtype(kind).str for kind in _KINDS)
_MAX_RANK = 8


class _FormFields(checked_json.Fields):
    error = DataError


@dataclass(frozen=True)
class Form:
    """What all samples of a store have in common.

    Attributes:
      shape: of one sample.
      dtype: of its values, little-endian, one of integers or floats.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size_bytes(self) -> int:
        """Of one sample."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}"

    def json(self) -> str:
        """As a store keeps it."""
        return json.dumps({"shape": self.shape, "dtype": self.dtype.str})


def form_of(x: npt.NDArray[Any]) -> Form:
    """The form of a sample that is to be stored.

    Raises:
      DataError: it holds no numbers, none at all or too many, or some that are not finite.
    """
    form = Form(x.shape, x.dtype.newbyteorder("<"))
    if form.dtype.str not in _DTYPES or x.ndim > _MAX_RANK:
        raise DataError(
            f"the sample: expected integers or floats of at most {_MAX_RANK} axes, got {form}"
        )
    if not 0 < form.size_bytes <= MAX_SAMPLE_BYTES:
        raise DataError(
            f"the sample: expected 1 to {MAX_SAMPLE_BYTES} bytes, got {form.size_bytes}"
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise DataError("the sample holds NaN or infinity: expected finite values")
    return form


def form_named(dtype: str, shape: tuple[int, ...]) -> Form:
    """The form that a caller names, such as `uint8` and (28, 28, 1).

    Raises:
      DataError: it is none, or too large.
    """
    named = {np.dtype(kind).name: np.dtype(kind) for kind in _DTYPES}
    if dtype not in named:
        raise DataError(f"the sample: expected a dtype of {', '.join(named)}, got {shown(dtype)}")
    form = Form(shape, named[dtype])
    if len(shape) > _MAX_RANK or not 0 < form.size_bytes <= MAX_SAMPLE_BYTES:
        raise DataError(
            f"the sample: expected at most {_MAX_RANK} axes and 1 to {MAX_SAMPLE_BYTES} bytes, got "
            f"{list(shape)[: _MAX_RANK + 1]} of {dtype}"
        )
    return form


def form_read(path: Path, text: str) -> Form:
    """The form that a store keeps.

    Raises:
      DataError: it is none.
    """
    try:
        found = _FormFields(checked_json.parse(text.encode()), document=str(path))
    except DamagedFileError as error:
        raise DataError(f"{path}: {error}") from None
    shape = found.integers("shape", 1)
    form = Form(shape, np.dtype(found.choice("dtype", _DTYPES)))
    if len(shape) > _MAX_RANK or form.size_bytes > MAX_SAMPLE_BYTES:
        raise DataError(f"{path}: samples of {form} are larger than {MAX_SAMPLE_BYTES} bytes")
    return form


def name_checked(name: str) -> str:
    """A caller's name for a sample.

    Raises:
      UsageError: it is empty, too long or not printable.
    """
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise UsageError(f"the name of a sample: expected 1 to {MAX_NAME_CHARS} printable letters")
    return name


def label_checked(label: int) -> int:
    """A class.

    Raises:
      UsageError: it is no integer of 0 to 2³¹ − 1.
    """
    if not 0 <= label < 2**31:
        raise UsageError(f"label {label}: expected an integer from 0 to 2147483647")
    return label


def content_hash(form: Form, x: bytes) -> bytes:
    """SHA-256 of a sample's form and bytes."""
    digest = hashlib.sha256(form.json().encode())
    digest.update(x)
    return digest.digest()


def row_hash(name: str, label: int, form: Form, x: bytes) -> bytes:
    """SHA-256 of all that a row says."""
    digest = hashlib.sha256(content_hash(form, x))
    digest.update(label.to_bytes(8, "little"))
    digest.update(name.encode())
    return digest.digest()

"""What a user says of the data's values: `--scale 1/255 --offset -1`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tfplus.errors import UsageError
from tfplus.model_file.preprocessing import Preprocessing

# Beyond it a fraction is no easier to read than a decimal.
_MAX_DENOMINATOR = 1 << 16
_LARGEST, _LEAST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Scaling:
    """A model gets `value * scale + offset` of a value, stored as an integer or as a float.

    Attributes:
      scale: finite in float32, and not 0 there.
      offset: finite in float32.

    Raises:
      UsageError: they are not.
    """

    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            # NaN compares as false.
            if not abs(value) <= _LARGEST:
                raise UsageError(f"--{name} {value}: expected a number that float32 holds")
        if abs(self.scale) < _LEAST:
            raise UsageError(
                f"--scale {self.scale:g}: expected another number than 0, such as 1/255: nothing "
                "would be left of the samples"
            )

    def __str__(self) -> str:
        offset = f" --offset {fraction(self.offset)}" if self.offset else ""
        return f"--scale {fraction(self.scale)}{offset}"

    def declared_in(self, preprocessing: Preprocessing, *, floats: bool = True) -> Preprocessing:
        """What a file declares, with this scaling in place of its own.

        Args:
          preprocessing: of the file.
          floats: whether samples that are stored as floats are scaled, too.
        """
        return replace(preprocessing, scale=self.scale, offset=self.offset, floats=floats)


def parse(scale: str | None, offset: str | None) -> Scaling | None:
    """Reads the options `--scale` and `--offset`.

    Args:
      scale: a decimal or a fraction, such as `0.1` or `1/127.5`; None where it was not given.
      offset: likewise.

    Returns:
      The scaling; None where neither was given.

    Raises:
      UsageError: one is no such number.

    Examples:
      >>> parse("1/127.5", "-1")
      Scaling(scale=0.00784313725490196, offset=-1.0)
      >>> str(parse("1/255", None))
      '--scale 1/255'
    """
    if scale is None and offset is None:
        return None
    return Scaling(
        1.0 if scale is None else _number("--scale", scale),
        0.0 if offset is None else _number("--offset", offset),
    )


def fraction(value: float) -> str:
    """Writes a number as a user would: `1/255` rather than `0.00392157`."""
    if 0 < abs(value) < 1:
        for numerator in (1, 2):
            denominator = numerator / abs(value)
            near = round(denominator)
            if near <= _MAX_DENOMINATOR and math.isclose(near, denominator, rel_tol=1e-9):
                return f"{'-' if value < 0 else ''}1/{near / numerator:g}"
    return f"{value:.6g}"


def _number(option: str, text: str) -> float:
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator) if slash else float(text)
    except (ValueError, ZeroDivisionError):
        raise UsageError(
            f"{option} '{text}': expected a decimal or a fraction, such as 0.5 or 1/255"
        ) from None

"""Whether data are what a model was made for, and if not, what would make them so."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tfplus.data.formats.source import Column
from tfplus.data.scaling import Scaling
from tfplus.data.spread import ENOUGH_VALUES, Spread, measured
from tfplus.model_file.preprocessing import InputRange, Preprocessing, RangeSource

# Devices see different data: only what lies far beside the range, as a share of it, is told, and
# what fills less than a small part of it.
_BESIDE = 0.75
_NARROW = 0.1
# Largest values of codes that samples are stored as: fractions, 8×8 digits, bytes, converters.
_CODES = (1, 16, 255, 1023, 4095, 65535)

_KNOWN_FROM: Mapping[RangeSource, str] = {
    "sample": "as in the sample at its export",
    "layers": "as its first layers are made for",
    "scale": "as the scale at its export is made for",
}


def misfits(
    inputs: Mapping[str, Column], taken: Mapping[str, str], preprocessing: Preprocessing
) -> tuple[str, ...]:
    """What to tell of stored inputs whose values are not those that a model was made for.

    Args:
      inputs: name → [samples, ...], as stored, finite.
      taken: name → dtype of the input; integers have no range.
      preprocessing: what becomes of them, and what is expected behind it.

    Returns:
      A sentence for each input that does not fit.
    """
    found: list[str] = []
    for name, stored in inputs.items():
        expected = preprocessing.expected(name)
        if expected is None or np.dtype(taken[name]).kind != "f" or 0 in stored.shape:
            continue
        raw = measured(stored, ENOUGH_VALUES)
        scaled = preprocessing.scales(stored.dtype, taken[name])
        found += misfit(raw, raw.behind(preprocessing) if scaled else raw, expected)
    return tuple(found)


def misfit(raw: Spread, got: Spread, expected: InputRange) -> tuple[str, ...]:
    """What to tell of values that are not in their range; nothing where they are.

    Args:
      raw: the values as stored.
      got: as the model gets them.
      expected: the range.
    """
    if fits(got, expected):
        return ()
    known = _KNOWN_FROM[expected.source]
    text = (
        f"input '{expected.input}': the model gets values from {got.low:.4g} to {got.high:.4g}, "
        f"expected {expected.low:.4g} to {expected.high:.4g}, {known}"
    )
    wanted = advised(raw, expected)
    if wanted is None:
        return (f"{text}: say with --scale and --offset what the data are",)
    return (f"{text}: {wanted} would bring the data there",)


def fits(got: Spread, expected: InputRange) -> bool:
    """Whether values lie about where they are expected.

    Args:
      got: as the model gets them.
      expected: the range.
    """
    span = expected.high - expected.low
    beside = _BESIDE * span
    # A range of one value is of a sample that says nothing of others.
    if span <= 0:
        return True
    if got.low < expected.low - beside or got.high > expected.high + beside:
        return False
    if expected.std:
        return got.std >= _NARROW * expected.std
    return got.high - got.low >= _NARROW * span


def advised(raw: Spread, expected: InputRange) -> Scaling | None:
    """The usual scaling that would bring stored values into a range; None where none does.

    Args:
      raw: the values as stored.
      expected: the range.
    """
    plain = Scaling()
    candidates = [plain]
    top = next((c for c in _CODES if c >= raw.high), None)
    if raw.low >= 0 and top is not None:
        low = 0.0 if math.isclose(expected.low, 0.0, abs_tol=1e-6) else expected.low
        candidates.append(Scaling((expected.high - low) / top, low))
    for scaling in candidates:
        if fits(raw.behind(scaling.declared_in(Preprocessing())), expected):
            return scaling
    return None

"""What a model was made for, and what becomes of stored samples, a line a fact."""

from __future__ import annotations

from tfplus.data.scaling import fraction
from tfplus.model_file.preprocessing import InputRange, Preprocessing


def lines(preprocessing: Preprocessing) -> str:
    """What a manifest declares, which may come from anyone."""
    scale, offset = fraction(preprocessing.scale), fraction(preprocessing.offset)
    kinds = "integers and floats" if preprocessing.floats else "integers"
    found = [f"{kinds} become value * {scale} + {offset}"]
    if (scale, offset) == ("1", "0"):
        found = ["taken as it is"]
    return "\n".join((*found, *(_range(expected) for expected in preprocessing.expects)))


def _range(expected: InputRange) -> str:
    text = f"{expected.input} from {expected.low:.4g} to {expected.high:.4g}"
    if expected.mean is not None and expected.std is not None:
        text += f", mean {expected.mean:.4g}, standard deviation {expected.std:.4g}"
    stored = f", stored as {expected.dtype}" if expected.dtype else ""
    return f"{text}{stored} (from the {expected.source})"

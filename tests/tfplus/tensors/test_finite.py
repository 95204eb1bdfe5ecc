"""NaN and infinity in bytes that come cut anywhere, beside numpy's own answer for whole arrays."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.tensors.finite import FiniteWatch
from tfplus.tensors.hashing import raw_bytes
from tfplus.tensors.slices import Tensor, specs_of

# Less than a value, a value, just more, and all at once.
CUTS = (1, 3, 4, 5, 7, 64, 10_000_000)


def looked_at(tensors: dict[str, Tensor], cut: int) -> list[str]:
    """What a watch finds in the bytes of tensors, so many at once, whatever they belong to."""
    watch, content = FiniteWatch(specs_of(tensors)), b"".join(map(raw_bytes, tensors.values()))
    for start in range(0, len(content), cut):
        watch.take(content[start : start + cut])
    return watch.not_finite


@pytest.mark.parametrize("cut", CUTS)
def test_what_is_not_finite_is_found_wherever_the_bytes_are_cut(cut: int) -> None:
    rng = np.random.default_rng(cut)
    for _ in range(20):
        tensors: dict[str, Tensor] = {}
        for number in range(6):
            shape = tuple(rng.integers(0, 5, rng.integers(0, 4)))
            dtype = rng.choice(["float32", "int32", "float64", "bool"])
            # As integers most of these bit patterns are common, as floats they are NaN.
            tensor = np.full(shape, -1, "int64").astype(dtype)
            if tensor.size and dtype.startswith("float") and rng.random() < 0.5:
                where = tuple(rng.integers(0, n) for n in shape)
                tensor[where] = rng.choice([np.nan, np.inf, -np.inf])
            tensors[f"t{number}"] = tensor
        expected = [n for n, t in tensors.items() if not np.isfinite(t).all()]
        assert looked_at(tensors, cut) == expected


def test_every_place_of_a_tensor_is_looked_at() -> None:
    for place in range(9):
        tensor = np.zeros(9, np.float32)
        tensor[place] = np.nan
        for cut in CUTS:
            assert looked_at({"a": np.ones(2, np.float32), "b": tensor}, cut) == ["b"]


def test_integers_may_have_the_bits_of_nan() -> None:
    bits = np.frombuffer(np.array([np.nan, np.inf], np.float32).tobytes(), np.int32)
    assert looked_at({"a": bits}, 3) == []

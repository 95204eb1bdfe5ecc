"""What every codec of the registry promises; a new one is held to it by being registered."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfplus.codecs import registry
from tfplus.codecs.codec import Codec, Encoded
from tfplus.codecs.registry import CODECS, codec
from tfplus.errors import TensorError, UsageError

every_codec = pytest.mark.parametrize("found", CODECS.values(), ids=CODECS)

TENSORS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    elements=st.floats(-60_000, 60_000, width=32),
)


def held_to_the_contract(found: Codec, value: np.ndarray) -> np.ndarray:
    before = value.copy()
    encoded = found.encode("shared/k", value)
    assert len(encoded.raw) == found.size_bytes(value.size)
    assert np.float32(encoded.scale) == encoded.scale
    assert found.scaled or encoded.scale == 1
    decoded = found.decode(encoded, value.size)
    assert (decoded.shape, decoded.dtype) == ((value.size,), np.dtype(np.float32))
    largest = float(np.max(np.abs(value), initial=0.0))
    wrong = np.abs(decoded.astype(np.float64) - value.reshape(-1).astype(np.float64))
    assert np.all(wrong <= found.error_bound(largest))
    # Pure: nothing was written to, and the same comes of the same.
    np.testing.assert_array_equal(value, before)
    assert found.encode("shared/k", value) == encoded
    return decoded


@every_codec
@given(value=TENSORS)
def test_values_come_back_within_the_bound_and_at_the_cost(found: Codec, value: np.ndarray) -> None:
    held_to_the_contract(found, value)


@every_codec
def test_zeros_stay_zeros_and_layouts_mean_nothing(found: Codec) -> None:
    assert not held_to_the_contract(found, np.zeros((3, 4), np.float32)).any()
    kernel = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    whole = found.encode("k", kernel.T)
    assert whole == found.encode("k", np.ascontiguousarray(kernel.T))
    assert whole == found.encode("k", kernel.T.astype(">f4"))
    held_to_the_contract(found, np.array([], np.float32))


@every_codec
@pytest.mark.parametrize("size", [1e-45, 1e-30, 1e30, float(np.finfo(np.float32).max)])
def test_extreme_values_are_within_the_bound_or_refused_by_name(found: Codec, size: float) -> None:
    value = np.array([size, -size, 0], np.float32)
    try:
        held_to_the_contract(found, value)
    except TensorError as error:
        assert "'shared/k'" in str(error)


@every_codec
def test_bytes_of_another_length_are_refused(found: Codec) -> None:
    encoded = found.encode("k", np.ones(6, np.float32))
    for raw in (encoded.raw[:-1], encoded.raw + b"\0", b""):
        with pytest.raises(TensorError, match="expected"):
            found.decode(Encoded(raw, encoded.scale), 6)


@every_codec
def test_it_costs_no_more_than_float32(found: Codec) -> None:
    for count in (0, 1, 7, 1000):
        assert 0 <= found.size_bytes(count) <= 4 * count
    assert CODECS[found.name] is found


def test_the_bytes_are_those_that_files_hold() -> None:
    value = np.array([1.0, -0.5, 0.25], np.float32)
    assert codec("float32").encode("k", value).raw.hex() == "0000803f000000bf0000803e"
    assert codec("float16").encode("k", value).raw.hex() == "003c00b80034"
    small = codec("int8").encode("k", value)
    # 63.5 is rounded to even, 31.75 up.
    assert np.frombuffer(small.raw, np.int8).tolist() == [127, -64, 32]
    assert math.isclose(small.scale, 1 / 127, rel_tol=1e-7)


def test_a_name_that_is_none() -> None:
    with pytest.raises(UsageError, match="'zip': expected one of float32, float16, int8"):
        codec("zip")
    found = doctest.testmod(registry)
    assert (found.attempted, found.failed) == (1, 0)

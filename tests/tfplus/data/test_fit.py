"""What is told of data that are not what a model was made for, and of those that are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.data.fit import misfits
from tfplus.data.scaling import Scaling, parse
from tfplus.data.spread import Spread, measured, of_codes
from tfplus.model_file.preprocessing import InputRange, Preprocessing

UNIT = InputRange("x", "scale", 0.0, 1.0)
SIGNED = InputRange("x", "layers", -1.0, 1.0)
BYTES = InputRange("x", "layers", 0.0, 255.0)
NORMAL = InputRange("x", "sample", -2.6, 2.4, 0.0, 1.0, "float32")
RNG = np.random.default_rng(0)
PIXELS = np.clip(RNG.normal(60, 80, (40, 8, 8)), 0, 255).astype(np.uint8)
DIGITS = (PIXELS // 16).astype(np.uint8)


def told(stored: Any, expected: InputRange, scale: Scaling | None = None) -> tuple[str, ...]:
    declared = Preprocessing(expects=(expected,))
    if scale is not None:
        declared = scale.declared_in(declared)
    return misfits({"x": np.asarray(stored)}, {"x": "float32"}, declared)


@pytest.mark.parametrize(
    ("stored", "expected", "advice"),
    [
        (PIXELS, UNIT, "--scale 1/255 would bring"),
        (PIXELS.astype(np.float64), UNIT, "--scale 1/255 would bring"),
        (PIXELS, SIGNED, "--scale 1/127.5 --offset -1 would bring"),
        (PIXELS / 255, BYTES, "--scale 255 would bring"),
        (DIGITS, BYTES, "--scale 15.9375 would bring"),
        (DIGITS, UNIT, "--scale 1/16 would bring"),
        (PIXELS.astype(np.int64) * 200, UNIT, "--scale 1/65535 would bring"),
        (PIXELS / 127.5 - 1, UNIT, "say with --scale and --offset"),
        (PIXELS - 1000.0, UNIT, "say with --scale and --offset"),
        (RNG.normal(0, 20, (40, 3)), NORMAL, "say with --scale and --offset"),
        (RNG.normal(0, 0.01, (40, 3)), NORMAL, "say with --scale and --offset"),
    ],
)
def test_another_range_is_told(stored: Any, expected: InputRange, advice: str) -> None:
    (text,) = told(stored, expected)
    assert text.startswith("input 'x': the model gets values from")
    assert advice in text


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (PIXELS / 255, UNIT),
        (PIXELS / 255 * 0.3, UNIT),
        (PIXELS / 127.5 - 1, SIGNED),
        (PIXELS, BYTES),
        (RNG.normal(0, 1, (5000, 3)), NORMAL),
        (RNG.normal(0.8, 0.5, (40, 3)), NORMAL),
        (np.zeros((4, 2)), InputRange("x", "sample", 3.0, 3.0, 3.0, 0.0)),
        (np.zeros((4, 0)), UNIT),
        (PIXELS, InputRange("other", "sample", 0.0, 1.0)),
    ],
)
def test_what_devices_differ_in_is_not_told(stored: Any, expected: InputRange) -> None:
    assert told(stored, expected) == ()


@given(
    st.sampled_from([PIXELS, DIGITS, PIXELS.astype(np.float32), PIXELS / 255]),
    st.sampled_from([UNIT, SIGNED, BYTES]),
)
def test_what_is_advised_fits(stored: Any, expected: InputRange) -> None:
    for text in told(stored, expected):
        words = text.rpartition(": ")[2].split()
        if "--scale" not in words[0]:
            continue
        offset = words[3] if words[2] == "--offset" else None
        assert told(stored, expected, parse(words[1], offset)) == ()


def test_what_is_declared_is_what_is_judged() -> None:
    assert told(PIXELS, UNIT, Scaling(1 / 255)) == ()
    (text,) = told(PIXELS / 255, UNIT, Scaling(1 / 255))
    assert "from 0 to 0.0039" in text
    assert text.endswith("--scale 1 would bring the data there")
    # Indices have no range.
    declared = Preprocessing(expects=(UNIT,))
    assert misfits({"x": PIXELS}, {"x": "int32"}, declared) == ()


@given(
    st.integers(1, 30),
    st.integers(1, 40),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e3),
    st.booleans(),
)
def test_a_spread_is_that_of_numpy(
    count: int, size: int, mean: float, std: float, single: bool
) -> None:
    stored = np.random.default_rng(count).normal(mean, std, (count, size))
    stored = stored.astype(np.float32) if single else stored
    found, values = measured(stored), stored.astype(np.float64)
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-9 * std)
    assert found.std == pytest.approx(values.std(), rel=1e-5, abs=1e-9)


def test_a_range_is_told_from_few_samples_that_lie_evenly(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3000, dtype=np.int32).reshape(1000, 3))
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert (measured(stored, 9).low, measured(stored, 9).high) == (0, 2999)
    assert measured(stored, 9).mean == pytest.approx(1499.5, abs=2)
    assert measured(stored, 1).high == 2


def test_a_spread_is_scaled_as_its_values_are() -> None:
    got = Spread(0.0, 255.0, 60.0, 30.0).behind(Preprocessing(-1 / 255, 1.0))
    assert got == Spread(0.0, 1.0, pytest.approx(1 - 60 / 255), pytest.approx(30 / 255))


@pytest.mark.parametrize(
    ("scale", "offset", "want"),
    [
        (1 / 255, 0.0, (0, 1)),
        (1 / 256, 0.0, (0, 1)),
        (1 / 16, 0.0, (0, 1)),
        (1 / 65535, 0.0, (0, 1)),
        (1 / 127.5, -1.0, (-1, 1)),
        (1 / 128, -1.0, (-1, 1)),
        (1 / 255, -0.5, (-0.5, 0.5)),
        (1.0, 0.0, None),
        (0.01, 0.0, None),
        (0.1, -14.0, None),
        (1 / 255, 1.0, None),
        (-1 / 255, 0.0, None),
    ],
)
def test_which_scalings_are_of_codes(scale: float, offset: float, want: Any) -> None:
    assert of_codes(scale, offset) == want

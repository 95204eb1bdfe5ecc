from __future__ import annotations

import doctest

import numpy as np
import pytest

from tfplus.data import scaling
from tfplus.data.scaling import Scaling, fraction, parse
from tfplus.errors import UsageError
from tfplus.model_file.preprocessing import Preprocessing


@pytest.mark.parametrize(
    ("scale", "offset", "want"),
    [
        ("1/255", None, Scaling(1 / 255, 0.0)),
        ("1/127.5", "-1", Scaling(1 / 127.5, -1.0)),
        ("0.1", "-14", Scaling(0.1, -14.0)),
        ("-1/255", "1", Scaling(-1 / 255, 1.0)),
        (None, "-1/2", Scaling(1.0, -0.5)),
        ("1e-3", None, Scaling(0.001, 0.0)),
        (None, None, None),
    ],
)
def test_options_are_decimals_or_fractions(
    scale: str | None, offset: str | None, want: Scaling | None
) -> None:
    assert parse(scale, offset) == want


@pytest.mark.parametrize(
    ("scale", "offset", "message"),
    [
        ("1/0", None, "--scale '1/0': expected a decimal or a fraction"),
        ("", None, "--scale '': expected"),
        ("1/2/3", None, "--scale '1/2/3': expected"),
        ("1", "x", "--offset 'x': expected"),
        ("0", None, "--scale 0: expected another number than 0"),
        ("1e-60", None, "another number than 0"),
        ("nan", None, "--scale nan: expected a number that float32 holds"),
        ("inf", None, "--scale inf"),
        ("1", "1e39", r"--offset 1e\+39: expected a number that float32 holds"),
    ],
)
def test_what_is_no_scaling_is_refused(scale: str, offset: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(scale, offset)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 255, "1/255"),
        (1 / 127.5, "1/127.5"),
        (-1 / 16, "-1/16"),
        (0.3, "0.3"),
        (-1.0, "-1"),
        (0.0, "0"),
        (15.9375, "15.9375"),
    ],
)
def test_numbers_are_written_as_users_write_them(value: float, text: str) -> None:
    assert fraction(value) == text


def test_a_scaling_is_written_as_the_options_that_give_it() -> None:
    for given in (Scaling(1 / 127.5, -1.0), Scaling(1 / 255), Scaling(2.0, 0.25)):
        words = str(given).split()
        options = dict(zip(words[::2], words[1::2], strict=True))
        assert parse(options["--scale"], options.get("--offset")) == given


@pytest.mark.parametrize(
    ("floats", "dtype", "scaled"),
    [
        (False, "uint8", True),
        (False, "int64", True),
        (False, "float32", False),
        (True, "float64", True),
        (True, "uint8", True),
        (True, "bool", False),
    ],
)
def test_which_samples_are_scaled(floats: bool, dtype: str, scaled: bool) -> None:
    stored = np.array([[0, 1], [1, 1]], dtype)
    declared = Scaling(0.5, -1.0).declared_in(Preprocessing(3.0), floats=floats)
    want = stored.astype(np.float32) * 0.5 - 1 if scaled else stored.astype(np.float32)
    got = declared.apply(stored, "float32")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want)
    assert stored.dtype == dtype
    # What is looked up in a table is an index, whatever becomes of other inputs.
    np.testing.assert_array_equal(declared.apply(stored, "int32"), stored.astype(np.int32))


def test_the_examples_hold() -> None:
    assert doctest.testmod(scaling).failed == 0

"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.report.units import BYTES, COUNT, FRACTION, PLAIN, SECONDS, Unit, tick_texts


@pytest.mark.parametrize(
    ("levels", "divisor", "expected"),
    [
        # What was once written as 0.2 s, 0.2 s, 0.1 s, 0.1 s, 0.0 s.
        ([0.0, 0.05, 0.1, 0.15, 0.2], 1.0, ["0.00", "0.05", "0.10", "0.15", "0.20"]),
        ([0.0, 5e6, 10e6], 1e6, ["0", "5", "10"]),
        ([0.0, 0.2, 0.4, 0.6000000000000001, 1.0], 0.01, ["0", "20", "40", "60", "100"]),
        ([0.0, 2500.0], 1.0, ["0", "2,500"]),
        ([0.0], 1.0, ["0"]),
        ([], 1.0, []),
    ],
)
def test_ticks(levels: list[float], divisor: float, expected: list[str]) -> None:
    assert tick_texts(levels, divisor) == expected


@given(st.integers(-6, 9), st.sampled_from([1, 2, 5]), st.integers(0, 40), st.integers(2, 9))
def test_no_two_ticks_read_the_same_and_each_is_exact(
    power: int, digit: int, first: int, count: int
) -> None:
    step = digit * 10.0**power
    levels = [(first + i) * step for i in range(count)]
    _, divisor_unit = PLAIN.scale(levels[-1])
    assert divisor_unit == ""
    texts = tick_texts(levels, 1.0)
    assert len(set(texts)) == count
    assert [float(t.replace(",", "")) for t in texts] == pytest.approx(levels, rel=1e-6)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (FRACTION, 0.9731, "97.3 %"),
        (FRACTION, 1.0, "100 %"),
        (FRACTION, 0.0, "0 %"),
        (SECONDS, 41.27, "41.3 s"),
        (SECONDS, 1234.5, "1,234 s"),
        # Half a second is not "0.5 s" of 0.04 and not "0.0 s".
        (SECONDS, 0.0432, "43.2 ms"),
        (SECONDS, 3.2e-6, "3.2 µs"),
        (SECONDS, 0.0, "0.0 s"),
        (BYTES, 12_345_678, "12.3 MB"),
        (BYTES, 999, "999 B"),
        (PLAIN, 0.066666, "0.0667"),
        (COUNT, 12345.0, "12,345"),
        (COUNT, None, "—"),
    ],
)
def test_values(unit: Unit, value: float | None, text: str) -> None:
    assert unit.write(value) == text


@pytest.mark.parametrize(
    ("unit", "top", "scale"),
    [
        (BYTES, 2e6, (1e6, "MB")),
        (BYTES, 12.0, (1.0, "B")),
        (BYTES, 0.0, (1.0, "B")),
        (SECONDS, 1.0, (1.0, "s")),
        (SECONDS, 0.2, (1e-3, "ms")),
        (FRACTION, 1.0, (0.01, "%")),
        (FRACTION, 0.001, (0.01, "%")),
    ],
)
def test_an_axis_has_the_unit_of_its_end(unit: Unit, top: float, scale: tuple[float, str]) -> None:
    assert unit.scale(top) == scale

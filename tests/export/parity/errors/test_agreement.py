"""Steps from the same states, compared."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.runtime.accelerator_process import Step
from tfplus_export.parity.errors.agreement import Agreement, agreement

KERNEL, BIAS = "shared/conv/kernel", "shared/conv/bias"


def led(update: float, noise: float, loss: float = 2.0) -> dict[str, np.ndarray]:
    """Where a step leads that updates a kernel by so much, and a bias by rounding."""
    return {
        KERNEL: np.full(4, 1.0 + update, np.float32),
        BIAS: np.full(2, noise, np.float32),
        "loss": np.array([loss], np.float32),
    }


def compared(*got: dict[str, np.ndarray], rounding: tuple[str, ...] = ()) -> Agreement:
    before = {KERNEL: np.ones(4, np.float32), BIAS: np.zeros(2, np.float32)}
    taken = [(Step(before, {}), led(0.01, 1e-9), state) for state in got]
    return agreement("GPU", taken, [KERNEL, BIAS], rounding)


def test_noise_beside_a_kernel_is_no_difference() -> None:
    found = compared(led(0.01, -1e-9))
    assert found.holds()
    assert found.update == 0


def test_a_gradient_that_is_rounding_alone_is_measured_beside_the_farthest_update() -> None:
    more = led(0.01, 5e-6)
    assert not compared(more).holds()
    assert compared(more, rounding=(BIAS,)).holds()
    assert compared(more, rounding=(BIAS,)).update == pytest.approx(5e-4, rel=0.1)


@pytest.mark.parametrize("noise", [1e-4, 1.0, np.nan, np.inf])
def test_what_is_more_than_rounding_is_no_rounding(noise: float) -> None:
    found = compared(led(0.01, noise), rounding=(BIAS,))
    assert not found.holds()
    assert found.worst_variable == BIAS


@pytest.mark.parametrize(
    "got", [led(0.0101, 0.0), led(0.01, 1e-4), led(0.01, 0.0, 2.001), led(np.nan, 0.0)]
)
def test_what_is_more_than_noise_is_one(got: dict[str, np.ndarray]) -> None:
    assert not compared(got).holds()


def test_one_step_of_three_may_fall_to_the_other_side_of_a_relu() -> None:
    right, off = led(0.01, 0.0), led(0.0101, 0.0)
    assert compared(right, off, right).holds()
    assert not compared(off, off, right).holds()


def test_an_error_may_be_some_times_that_of_another_kernel() -> None:
    own = Agreement("CPU, without XNNPACK", 3, 3e-5, 0.03, KERNEL)
    assert own.limits() == pytest.approx({"loss": 1.5e-4, "update": 0.15})
    assert Agreement("GPU", 3, 1e-4, 0.1, KERNEL).holds(own.limits())
    assert not Agreement("GPU", 3, 1e-4, 0.2, KERNEL).holds(own.limits())
    worse = Agreement("CPU, without XNNPACK", 3, float("nan"), 1.0, KERNEL)
    assert worse.limits() == {"loss": 1e-4, "update": 0.25}


def test_a_moving_mean_of_rounding_is_one_where_its_variance_rests() -> None:
    """Behind a group normalization of each channel, variances are 1 from the start."""
    resting, moving = "shared/a/moving_mean", "shared/b/moving_mean"
    before = {n: np.zeros(4, np.float32) for n in (moving, resting)}
    before |= {n: np.ones(4, np.float32) for n in ("shared/a/moving_variance",)}
    before["shared/b/moving_variance"] = np.full(4, 2.0, np.float32)
    after = before | {"shared/b/moving_variance": np.full(4, 1.98, np.float32)}
    after[resting] = np.full(4, 1e-9, np.float32)
    opposite = after | {resting: -after[resting], "loss": np.ones(1)}
    found = agreement("GPU", [(Step(before, {}), after | {"loss": np.ones(1)}, opposite)], [])
    assert found.update == 0
    opposite[resting] = np.full(4, 1e-6, np.float32)
    found = agreement("GPU", [(Step(before, {}), after | {"loss": np.ones(1)}, opposite)], [])
    assert not found.holds()

"""`tfplus demo --tiles`: three devices learn what one alone has not the memory for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfplus.demo import tiles


def test_digits_are_enlarged_linearly_between_their_pixels() -> None:
    ramp = np.broadcast_to(np.arange(8)[None, :, None, None] * 2, (3, 8, 8, 1))
    large = tiles.enlarged(ramp, np.random.default_rng(0))
    assert (large.shape, large.dtype) == ((3, 32, 32, 1), np.float32)
    want = np.linspace(0, 14 / 16, 32)[None, :, None, None]
    # The noise has a deviation of 0.05: the mean over 96 pixels of a line one of 0.005.
    np.testing.assert_allclose(large.mean(axis=(0, 2)), want[0, :, 0], atol=0.025)
    assert 0.04 < float((large - want).std()) < 0.06


@pytest.mark.slow
def test_three_devices_learn_what_one_has_not_the_memory_for(tmp_path: Path) -> None:
    result = tiles.run(tmp_path, tiles.TileOptions(), lambda text: None)
    together = result["together"]
    if together["memory_limit_enforced"]:
        assert "the runtime failed" in result["alone"]["error"]
    assert together["devices_equal"]
    assert together["steps"] == 40
    assert together["epochs"][-1]["accuracy"] > 0.8
    compared = together["comparison"]
    assert compared["tiles_last_loss"] == pytest.approx(compared["keras_last_loss"], abs=0.15)

"""What an update costs to fetch: a delta gives the new bytes, and costs what changed."""

from __future__ import annotations

import numpy as np
import pytest
from features import updates


def test_a_delta_gives_the_new_bytes_and_costs_what_changed() -> None:
    rng = np.random.default_rng(0)
    old = rng.bytes(50_000)
    new = bytearray(old)
    new[20_000:22_000] = rng.bytes(2_000)
    difference = updates.delta(old, bytes(new))
    assert updates.patched(old, difference) == new
    # Random bytes do not compress, and equal ones cost next to nothing.
    assert 2_000 < len(difference) < 2_200
    assert updates.patched(old, updates.delta(old, old)) == old
    with pytest.raises(ValueError, match="shape"):
        updates.delta(old, old[1:])


def test_a_row_names_sizes_in_kilobytes() -> None:
    row = {"model": "m", "head_parameters": 99, "whole_bytes": 5000,
           "whole_xz_bytes": 4000, "delta_bytes": 1500, "tensor_bytes": 460}  # fmt: skip
    assert updates.line(row) == "| m | 99 | 5.0 | 4.0 | 1.5 | 0.5 |"

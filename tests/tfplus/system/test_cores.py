"""Threads for the fast cores alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tfplus.system import cores


@pytest.mark.parametrize(
    ("capacities", "allowed", "expected"),
    [
        # A Pixel: two prime cores, two of three quarters, four little ones.
        ([250, 250, 250, 250, 768, 768, 1024, 1024], range(8), 4),
        # Left to the little cores alone, by a cpuset for the background.
        ([250, 250, 250, 250, 768, 768, 1024, 1024], range(4), 4),
        # A Raspberry Pi: all alike.
        ([1024, 1024, 1024, 1024], range(4), 4),
        ([1024, 1024, 1024, 1024], range(2), 2),
        # A server: the kernel ranks no cores.
        ([None, None, None], range(3), 3),
        # One core has no rank, as where it was put to sleep.
        ([250, None, 1024], range(3), 3),
    ],
)
def test_slow_cores_get_no_thread(
    capacities: Sequence[int | None], allowed: Sequence[int], expected: int, tmp_path: Path
) -> None:
    for number, capacity in enumerate(capacities):
        folder = tmp_path / f"cpu{number}"
        folder.mkdir()
        if capacity is not None:
            (folder / "cpu_capacity").write_text(f"{capacity}\n")
    assert cores.performance(tmp_path, allowed) == expected


def test_this_machine_has_at_least_one() -> None:
    assert 1 <= cores.performance() <= cores.usable()

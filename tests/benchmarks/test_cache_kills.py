"""The loop that kills a writer of a feature cache: what it counts, and that it counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from features import cache_kills
from features.cache_kills import Account, account


def test_what_is_missing_doubled_wrong_is_counted() -> None:
    right = {0: True, 1: True, 2: True}
    assert account(3, [0, 1, 2], right) == Account()
    assert account(2, [0, 1, 2], right) == Account(beyond=1)
    assert account(4, [0, 1, 1, 2], {**right, 1: False}) == Account(missing=1, doubled=1, wrong=1)


def test_a_cache_that_lost_or_changed_samples_is_told(tmp_path: Path) -> None:
    def keep(folder: Path, numbers: range, shift: float) -> None:
        cache = cache_kills.opened(folder, [])
        keys = [n.to_bytes(16, "little") for n in numbers]
        cache.add(keys, np.stack([cache_kills.row_of(n) for n in numbers]) + shift)
        cache.annotate(keys, [n % cache_kills.CLASSES for n in numbers])
        cache.close()

    keep(tmp_path, range(3), 0)
    notes: list[str] = []
    assert cache_kills.look(tmp_path, 3, notes) == (Account(), 3)
    keep(tmp_path, range(4, 6), 1)
    told = Account(missing=1, wrong=2, beyond=1)
    assert cache_kills.look(tmp_path, 5, notes) == (told, 5)
    assert notes == []
    shutil.rmtree(tmp_path)
    assert cache_kills.look(tmp_path, 1, notes) == (Account(missing=1), 0)


@pytest.mark.slow
def test_a_writer_is_killed_and_gone_on_with(tmp_path: Path) -> None:
    found = cache_kills.run(tmp_path, kills=3, seed=0, most_ms=40)
    assert found["ok"]
    assert found["kills"] == 3
    assert found["there"] == found["acknowledged"] + found["beyond"]

"""Features of forgotten samples are gone from index and blocks; those of others stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfplus.features.cache import FeatureCache
from tfplus.features.forgetting import forget
from tfplus.features.signature import keys

SHAPE = (3, 2)
# A pattern that nothing else has in it.
MARK = 1234.5678


def samples(*numbers: int) -> list[bytes]:
    return keys(np.asarray(numbers, np.int16)[:, None])


def rows(*numbers: int) -> np.ndarray:
    return np.stack([np.full(SHAPE, n + MARK, np.float32) for n in numbers])


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_no_byte_is_left_of_those_that_were_forgotten_whoever_made_them(tmp_path: Path) -> None:
    opened = [FeatureCache(tmp_path, maker, "conv", SHAPE) for maker in ("a", "b")]
    for cache in opened:
        cache.add(samples(1, 2, 3), rows(1, 2, 3))
        cache.flush()
        cache.add(samples(4), rows(4))
        cache.flush()
        assert all(row is not None for row in cache.find(samples(1, 2, 3, 4)))
    gone = [value.tobytes() for value in rows(2, 4)[:, 0, 0]] + samples(2, 4)
    assert all(part in everything(tmp_path) for part in gone)
    # Beside processes that have the cache open, and its blocks in memory.
    assert forget(tmp_path, samples(2, 4, 9)) == 4
    assert not any(part in everything(tmp_path) for part in gone)
    for cache in opened:
        found = cache.find(samples(1, 2, 3, 4))
        assert [None if r is None else float(r[0, 0]) for r in found] == [
            pytest.approx(1 + MARK),
            None,
            pytest.approx(3 + MARK),
            None,
        ]
        cache.add(samples(2), rows(2))
        cache.close()
    again = FeatureCache(tmp_path, "a", "conv", SHAPE)
    assert again.find(samples(2))[0] is not None
    again.close()
    assert forget(tmp_path, samples(2, 4)) == 2


def test_a_damaged_block_goes_whole_and_no_cache_is_none(tmp_path: Path) -> None:
    assert forget(tmp_path / "none", samples(1)) == 0
    assert not (tmp_path / "none").exists()
    cache = FeatureCache(tmp_path, "a", "conv", SHAPE)
    cache.add(samples(1, 2), rows(1, 2))
    cache.close()
    (block,) = tmp_path.glob("*.safetensors")
    block.write_bytes(b"\x05\0\0\0\0\0\0\0junk!" + block.read_bytes()[64:])
    assert forget(tmp_path, samples(1)) == 1
    assert not block.exists()
    assert forget(tmp_path, samples(2)) == 1

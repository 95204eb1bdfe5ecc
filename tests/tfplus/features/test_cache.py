"""The feature cache against a dict, and against damage, other makers, limits and restarts."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfplus.features import cache as cache_module
from tfplus.features.cache import FeatureCache
from tfplus.features.schema import NAME
from tfplus.features.signature import keys

SHAPE = (3, 2)
ROW_BYTES = 24


def rows(*numbers: int) -> np.ndarray:
    return np.stack([np.full(SHAPE, n, np.float32) for n in numbers])


def samples(*numbers: int) -> list[bytes]:
    return keys(np.asarray(numbers, np.int16)[:, None])


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., FeatureCache]:
    """Opens a cache in the test's folder; closed at the end."""

    def make(maker: str = "a", **options: object) -> FeatureCache:
        made = FeatureCache(tmp_path / "cache", maker, "conv3", SHAPE, **options)
        request.addfinalizer(made.close)
        return made

    return make


def found(cache: FeatureCache, *numbers: int) -> list[int | None]:
    return [None if r is None else int(r[0, 0]) for r in cache.find(samples(*numbers))]


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=25))
def test_it_gives_what_was_kept_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, bool]]
) -> None:
    folder, model = tmp_path_factory.mktemp("c"), dict[int, int]()
    cache = FeatureCache(folder, "a", "conv", SHAPE)
    for number, flushes, restarts in steps:
        model[number] = number
        cache.add(samples(number), rows(number))
        if flushes:
            cache.flush()
        if restarts:
            cache.close()
            cache = FeatureCache(folder, "a", "conv", SHAPE)
        assert found(cache, *range(10)) == [model.get(n) for n in range(10)]
    cache.close()


def test_samples_are_told_apart_by_value_shape_and_dtype() -> None:
    x = np.arange(4, dtype=np.uint8).reshape(2, 2)
    known = keys(x)
    assert len(set(known)) == 2
    assert keys(x.astype(np.int8)) != known
    assert keys(x.reshape(2, 2, 1)) != known
    assert keys(x[::-1]) == known[::-1]


def test_another_maker_finds_nothing(opened: Callable[..., FeatureCache]) -> None:
    first = opened("a")
    first.add(samples(1), rows(1))
    first.flush()
    other = opened("b")
    assert found(other, 1) == [None]
    other.add(samples(1), rows(5))
    other.flush()
    assert (found(first, 1), found(other, 1)) == ([1], [5])


def test_the_limit_holds_and_what_others_made_goes_first(
    opened: Callable[..., FeatureCache], tmp_path: Path
) -> None:
    told: list[str] = []
    clock = iter(range(1, 100))
    options = {"limit_bytes": 700, "note": told.append, "now": lambda: float(next(clock))}
    for maker in ("old", "older"):
        cache = opened(maker, **options)
        cache.add(samples(*range(8)), rows(*range(8)))
        cache.flush()
    cache = opened("old", **options)  # used again: "older" is now the one to go
    own = opened("own", **options)
    own.add(samples(*range(8)), rows(*range(8)))
    own.flush()
    assert found(own, 7) == [7]
    assert found(cache, 7) == [7]
    assert found(opened("older", **options), 7) == [None]
    own.add(samples(*range(8, 30)), rows(*range(8, 30)))
    own.flush()
    assert found(own, 7, 8) == [7, None]
    assert len(told) == 1
    assert "no more than 700 bytes" in told[0]
    assert sum(p.stat().st_size for p in (tmp_path / "cache").glob("*.safetensors")) <= 700


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "header"])
def test_damaged_rows_are_computed_again(
    opened: Callable[..., FeatureCache], tmp_path: Path, harm: str
) -> None:
    cache = opened()
    cache.add(samples(1, 2), rows(1, 2))
    cache.close()
    (block,) = (tmp_path / "cache").glob("*.safetensors")
    content = bytearray(block.read_bytes())
    if harm == "flip":
        content[-1] ^= 1  # of the second row
    elif harm == "header":
        content[20] ^= 0xFF
    block.write_bytes(content[:-1] if harm == "cut" else content)
    if harm == "gone":
        block.unlink()
    told: list[str] = []
    again = opened(note=told.append)
    assert found(again, 1, 2) == ([1, None] if harm == "flip" else [None, None])
    assert len(told) == 1
    again.add(samples(1, 2), rows(1, 2))
    again.flush()
    assert found(again, 1, 2) == [1, 2]


def test_a_damaged_index_is_set_aside(opened: Callable[..., FeatureCache], tmp_path: Path) -> None:
    cache = opened()
    cache.add(samples(1), rows(1))
    cache.close()
    index = tmp_path / "cache" / NAME
    index.write_bytes(b"no data base" * 400)
    told: list[str] = []
    assert found(opened(note=told.append), 1) == [None]
    assert "is damaged" in told[0]
    assert index.with_name(f"{NAME}.damaged").exists()


def test_a_crash_between_block_and_index_costs_that_block_alone(
    opened: Callable[..., FeatureCache], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = opened()
    cache.add(samples(1), rows(1))
    cache.flush()

    def killed(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(cache_module.Index, "add", killed)
    cache.add(samples(2), rows(2))
    cache.flush()
    monkeypatch.undo()
    blocks = list((tmp_path / "cache").glob("*.safetensors"))
    assert len(blocks) == 2
    for block in blocks:
        os.utime(block, (0, 0))
    assert found(opened(), 1, 2) == [1, None]
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1

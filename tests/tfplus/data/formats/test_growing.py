"""A store of samples that grows and shrinks while a model trains on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.data import device_data, order
from tfplus.data.store.sample_store import SampleStore
from tfplus.errors import DataError

SIZE = 4


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SampleStore]:
    with SampleStore(tmp_path / "s.db", create=True) as opened:
        for value in range(1, 11):
            opened.add(np.array([value], np.float32), value % 3)
        yield opened


def epoch(data: Any, model: Any, seed: int = 7, skip: int = 0) -> list[list[tuple[int, int]]]:
    """Value and label of each sample, batch by batch."""
    rng = np.random.default_rng([seed, 0])
    return [
        [(int(b.inputs["x"][i, 0]), int(b.targets["y"][i])) for i in range(b.valid)]
        for b in device_data.batches(data, model, SIZE, rng, skip)
    ]


def flat(batches: list[list[tuple[int, int]]]) -> list[int]:
    return [value for batch in batches for value, _ in batch]


def load(store: SampleStore, model: Any) -> Any:
    return device_data.load(store.path, model, for_training=True)


def test_the_order_is_the_seeds_and_stays_over_restarts(store: SampleStore, made_for: Any) -> None:
    model = made_for((1,))
    first = epoch(load(store, model), model)
    assert sorted(flat(first)) == list(range(1, 11))
    assert flat(first) != list(range(1, 11))
    assert epoch(load(store, model), model) == first
    assert epoch(load(store, model), model, skip=1) == first[1:]
    assert epoch(load(store, model), model, seed=8) != first


def test_samples_that_are_added_join_the_next_epoch_and_leave_the_others_in_order(
    store: SampleStore, made_for: Any
) -> None:
    model = made_for((1,))
    data = load(store, model)
    before = flat(epoch(data, model))
    for value in range(11, 16):
        store.add(np.array([value], np.float32), value % 3)
    store.correct(2, 0)
    assert flat(epoch(data, model)) == before
    grown = device_data.refreshed(data, model)
    assert len(grown) == 15
    batches = epoch(grown, model)
    after = flat(batches)
    assert sorted(after) == list(range(1, 16))
    assert [v for v in after if v <= 10] == before
    assert dict(pair for batch in batches for pair in batch)[2] == 0
    # An epoch that was interrupted goes on with the samples that it began with.
    assert flat(epoch(device_data.refreshed(grown, model, data.last_key), model)) == before


def test_a_sample_that_is_forgotten_is_in_no_batch_from_then_on(
    store: SampleStore, made_for: Any
) -> None:
    model = made_for((1,))
    data = load(store, model)
    whole = epoch(data, model)
    upcoming = device_data.batches(data, model, SIZE, np.random.default_rng([7, 0]))
    next(upcoming)
    store.forget([whole[1][0][0], *(value for value, _ in whole[2])])
    second, third = upcoming
    assert second.valid == SIZE - 1
    np.testing.assert_array_equal(second.inputs["x"][:3, 0], [v for v, _ in whole[1][1:]])
    assert second.targets["y"][3] == -1
    # The last batch is gone whole; an epoch keeps its number of batches with samples that are left.
    assert third.valid == SIZE
    assert set(third.inputs["x"][:, 0]) <= set(flat(whole[:1])) | {v for v, _ in whole[1][1:]}
    left = device_data.refreshed(data, model)
    gone = {whole[1][0][0], *flat(whole[2:])}
    assert flat(epoch(left, model)) == [v for v in flat(whole) if v not in gone]


def test_a_store_whose_samples_are_all_forgotten_says_so(store: SampleStore, made_for: Any) -> None:
    model = made_for((1,))
    data = load(store, model)
    store.forget(range(1, 11))
    with pytest.raises(DataError, match=r"s\.db: every sample was forgotten"):
        epoch(data, model)
    for call in (lambda: device_data.refreshed(data, model), lambda: load(store, model)):
        with pytest.raises(DataError, match=r"s\.db: expected at least one sample, got none"):
            call()


def test_a_new_sample_that_does_not_fit_is_refused(store: SampleStore, made_for: Any) -> None:
    model = made_for((1,))
    data = load(store, model)
    store.add(np.array([11], np.float32), 7)
    with pytest.raises(DataError, match="label 7"):
        device_data.refreshed(data, model)


def test_what_cannot_grow_stays_as_it_is(tmp_path: Path, made_for: Any) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 1), np.float32), y=np.arange(3))
    data = device_data.load(tmp_path / "d.npz", made_for((1,)), for_training=True)
    assert device_data.refreshed(data, made_for((1,))) is data


def test_an_order_by_keys_is_a_shuffle() -> None:
    """Every place of ten is about as often taken by each of ten keys (chi squared, 81 degrees)."""
    counts = np.zeros((10, 10))
    for seed in range(2000):
        places = order.order(10, np.arange(1, 11), np.random.default_rng(seed))
        assert sorted(places) == list(range(10))
        counts[places, np.arange(10)] += 1
    assert ((counts - 200) ** 2 / 200).sum() < 81 + 5 * np.sqrt(2 * 81)

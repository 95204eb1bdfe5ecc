"""The state on both data bases: each batch once, each sample once, whatever comes again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.feature_server.state.records import FeatureBatch, Sample, Version
from tfplus.feature_server.state.store import Store

Asked = Callable[[Path | str, str], list[list[Any]]]
BATCH = FeatureBatch(
    "b1",
    "pi-1",
    "m",
    "h",
    (b"a", b"b"),
    np.array([1, 2]),
    np.arange(8, dtype=np.float32).reshape(2, 4),
    "",
)


def test_a_batch_counts_once_and_a_corrected_sample_replaces(state: Path | str) -> None:
    store = Store(state)
    assert not store.add(BATCH)
    assert store.add(BATCH)
    assert store.count("m", "h") == 2
    assert store.has("pi-1", "b1")
    # The same id of another device is another batch, and its samples are others.
    assert not store.has("pi-2", "b1")
    assert not store.add(dataclasses.replace(BATCH, device="pi-2"))
    corrected = dataclasses.replace(
        BATCH, id="b2", samples=(b"a",), labels=np.array([7]), rows=BATCH.rows[:1] + 9
    )
    assert not store.add(corrected)
    store.close()
    store = Store(state)
    rows, labels = store.samples("m", "h", (2, 2))
    assert labels.tolist() == [7, 2, 1, 2]
    np.testing.assert_array_equal(rows.reshape(4, 4), [BATCH.rows[0] + 9, *BATCH.rows[[1, 0, 1]]])
    assert store.count("m", "g") == store.count("n", "h") == 0
    assert [array.shape for array in store.samples("n", "h", (2, 2))] == [(0, 2, 2), (0,)]
    store.close()


def test_thousands_of_samples_come_in_one_batch(state: Path | str) -> None:
    number = 4096
    keys = tuple(i.to_bytes(16, "little") for i in range(number))
    labels, rows = np.arange(number), np.random.default_rng(0).random((number, 3), np.float32)
    store = Store(state)
    assert not store.add(dataclasses.replace(BATCH, samples=keys, labels=labels, rows=rows))
    kept, kept_labels = store.samples("m", "h", (3,))
    order = sorted(range(number), key=keys.__getitem__)
    np.testing.assert_array_equal(kept, rows[order])
    assert kept_labels.tolist() == order
    store.close()


def test_what_came_while_a_version_was_trained_counts_for_the_next(state: Path | str) -> None:
    store = Store(state, now=lambda: 10.0)
    assert store.newest() is None
    store.add(BATCH)
    assert store.received("m", "h", "f") == 2
    version = Version(1, "f", 20.0, store.mark(), 2, 0.5, "since")
    assert store.publish(version, b"w")
    assert store.newest() == store.newest("f") == store.version(1) == version
    assert store.newest("g") is store.version(2) is store.weights(2) is None
    assert store.weights(1) == b"w"
    assert store.received("m", "h", "f") == 0
    # Another file's versions were trained on samples of their own.
    assert store.received("m", "h", "g") == 2
    # After the samples were read, before the version was published; the clock stands still.
    store.add(dataclasses.replace(BATCH, id="b2", device="pi-2"))
    assert store.received("m", "h", "f") == 2
    store.close()
    # Another machine's clock is an hour behind.
    store = Store(state, now=lambda: -3590.0)
    store.add(dataclasses.replace(BATCH, id="b3", device="pi-3"))
    assert store.received("m", "h", "f") == 4
    store.publish(Version(2, "f", -3580.0, store.mark(), 6, 0.5), b"w")
    assert store.received("m", "h", "f") == 0
    store.close()


def test_versions_are_one_sequence_of_all_who_publish(state: Path | str) -> None:
    stores = Store(state), Store(state)
    one, other = (Version(1, f, 1.0, 1, 0, None) for f in "fg")
    assert stores[0].publish(one, b"f")
    # The number is taken, and none may be left out.
    assert not stores[1].publish(other, b"g")
    assert not stores[1].publish(dataclasses.replace(other, number=3), b"g")
    assert stores[1].publish(dataclasses.replace(other, number=2), b"g")
    assert [store.newest() for store in stores] == [dataclasses.replace(other, number=2)] * 2
    assert stores[0].newest("f") == one
    assert [stores[0].weights(number) for number in (1, 2)] == [b"f", b"g"]
    for store in stores:
        store.close()


def test_who_comes_at_once_comes_one_after_the_other(state: Path | str, asked: Asked) -> None:
    stores, ids = [Store(state) for _ in range(3)], [f"b{i}" for i in range(12)]
    before = stores[0].mark()

    def add(store: Store, batch_id: str) -> bool:
        return store.add(dataclasses.replace(BATCH, id=batch_id, device=batch_id))

    with ThreadPoolExecutor(9) as pool:
        every = [(store, batch_id) for batch_id in ids for store in stores]
        was_present = list(pool.map(lambda pair: add(*pair), every))
    assert (was_present.count(False), was_present.count(True)) == (12, 24)
    assert stores[0].count("m", "h") == 24
    arrivals = asked(state, "SELECT DISTINCT arrival FROM samples")
    assert len(arrivals) == 12
    assert asked(state, "SELECT last FROM arrivals") == [[before + 36]]
    for store in stores:
        store.close()


def test_features_that_were_computed_on_are_carried_once(state: Path | str) -> None:
    store = Store(state)
    store.add(BATCH)
    known = store.keyed("m", "h", (2, 2))
    assert {key: s.label for key, s in known.items()} == {("pi-1", b"a"): 1, ("pi-1", b"b"): 2}
    np.testing.assert_array_equal(known["pi-1", b"b"].row, [[4, 5], [6, 7]])
    later = {key: Sample(s.arrival, s.label, s.row[0] + 1) for key, s in known.items()}
    one, other = ("pi-1", b"a"), ("pi-1", b"b")
    assert store.carry("n", "h", {one: later[one]}) == 1
    # What is there stays; what came later, or under another label later, replaces it.
    assert store.carry("n", "h", {one: Sample(later[one].arrival, 9, later[one].row)}) == 0
    assert store.carry("n", "h", later) == 1
    newer = Sample(later[one].arrival + 5, 7, later[one].row)
    assert store.carry("n", "h", {one: newer}) == 1
    rows, labels = store.samples("n", "h", (2,))
    assert labels.tolist() == [7, 2]
    np.testing.assert_array_equal(rows, [[1, 2], [5, 6]])
    assert store.carry("n", "h", {}) == 0
    # They count as received when those were that they were computed from.
    arrivals = {key: sample.arrival for key, sample in store.keyed("n", "h", (2,)).items()}
    assert arrivals == {one: newer.arrival, other: known[other].arrival}
    store.close()


def test_a_refusal_is_noted_whatever_it_names(state: Path | str, asked: Asked) -> None:
    store = Store(state, now=lambda: 7.0)
    store.refused("", "of 'a\0b\u20ac\U0001f600'")
    store.close()
    assert asked(state, "SELECT at_s, device, why FROM refusals") == [
        [7.0, "", "of 'a\ufffdb\u20ac\U0001f600'"]
    ]


def test_one_of_all_trains_at_a_time(state: Path | str) -> None:
    stores = Store(state), Store(state)
    with stores[0].training() as first, stores[1].training() as second:
        assert (first, second) == (True, False)
    with stores[1].training() as third:
        assert third
    for store in stores:
        store.close()

from __future__ import annotations

import numpy as np

from tfplus.demo import digits


def test_the_ring_is_the_papers() -> None:
    assert list(digits.RING.values()) == [
        (9, 0, 1, 2, 3),
        (2, 3, 4, 5, 6),
        (5, 6, 7, 8, 9),
        (8, 9, 0, 1, 2),
    ]


def test_branches_are_those_of_a_device_and_its_neighbours() -> None:
    held = digits.with_neighbours(digits.RING)
    # Opposite devices are no neighbours: device-1 never hears of 7, device-4 never of 4.
    assert held == {
        "device-1": (9, 0, 1, 2, 3, 4, 5, 6, 8),
        "device-2": (2, 3, 4, 5, 6, 0, 1, 7, 8, 9),
        "device-3": (5, 6, 7, 8, 9, 0, 1, 2, 3, 4),
        "device-4": (8, 9, 0, 1, 2, 3, 5, 6, 7),
    }


def test_every_sample_goes_to_one_place() -> None:
    samples = digits.load()
    assert len(samples.y) == 1797
    assert samples.x.dtype == np.uint8 and samples.x.max() == 16
    tagged = digits.Samples(
        np.arange(1797, dtype=np.uint16).reshape(-1, 1, 1, 1).astype(np.uint16), samples.y
    )
    train, held_out = digits.split(tagged, 0.25, np.random.default_rng(5))
    dealt = digits.deal(train, digits.RING, np.random.default_rng(5))
    places = [held_out, *dealt.values()]
    seen = np.concatenate([p.x.ravel() for p in places])
    assert sorted(seen.tolist()) == list(range(1797))
    for place in places:
        np.testing.assert_array_equal(samples.y[place.x.ravel()], place.y)


def test_held_out_samples_are_a_quarter_of_every_class() -> None:
    samples = digits.load()
    _, held_out = digits.split(samples, 0.25, np.random.default_rng(0))
    for label in range(10):
        share = np.mean(held_out.y == label) * len(held_out.y) / np.sum(samples.y == label)
        assert abs(share - 0.25) < 0.005


def test_a_device_gets_its_classes_alone_and_an_even_share() -> None:
    samples = digits.load()
    dealt = digits.deal(samples, digits.RING, np.random.default_rng(0))
    for name, classes in digits.RING.items():
        assert set(dealt[name].y.tolist()) == set(classes)
    nines = [np.sum(dealt[n].y == 9) for n, c in digits.RING.items() if 9 in c]
    assert max(nines) - min(nines) <= 1


def test_the_same_seed_deals_the_same() -> None:
    one, two = (digits.deal(digits.load(), digits.RING, np.random.default_rng(1)) for _ in "ab")
    for name in digits.RING:
        np.testing.assert_array_equal(one[name].x, two[name].x)

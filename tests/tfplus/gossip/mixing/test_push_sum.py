"""Mass is kept and the exact mean is reached on one-way links that lose a third of all messages."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tfplus.errors import TensorError
from tfplus.gossip.mixing.push_sum import Mass, PushSum


def network(count: int, rng: random.Random) -> dict[str, PushSum]:
    """A one-way ring with chords by chance: nodes send to different numbers of others."""
    values = np.random.default_rng(count).normal(size=(count, 5)) * 1e3
    nodes = {}
    for i in range(count):
        chords = rng.sample(range(count), rng.randrange(3))
        to = {(i + 1) % count, *chords} - {i}
        nodes[f"n{i}"] = PushSum(values[i], [f"n{j}" for j in sorted(to)], weight=1 + i % 3)
    return nodes


def mass(nodes: dict[str, PushSum]) -> tuple[np.ndarray, float]:
    total = sum(n.total for n in nodes.values())
    weight = sum(n.weight for n in nodes.values())
    for name, node in nodes.items():
        for peer in node._sent:
            under_way = node.under_way(peer, nodes[peer], name)
            total, weight = total + under_way[0], weight + under_way[1]
    return np.asarray(total), weight


@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize("count", [2, 8])
def test_mass_is_kept_and_the_weighted_mean_is_reached(count: int, loss: float) -> None:
    rng = random.Random(count)  # noqa: S311
    nodes = network(count, rng)
    total, weight = mass(nodes)
    late: list[tuple[str, str, Mass]] = []
    for _ in range(300):
        for name, node in nodes.items():
            late += [(peer, name, sent) for peer, sent in node.push().items()]
        rng.shuffle(late)
        kept = []
        for peer, name, sent in late:
            if rng.random() < loss:
                continue
            if rng.random() < 0.1:
                kept.append((peer, name, sent))
            nodes[peer].receive(name, sent)
        late = kept
        now = mass(nodes)
        np.testing.assert_allclose(now[0], total, rtol=1e-9, atol=1e-6)
        assert now[1] == pytest.approx(weight, rel=1e-9)
    for node in nodes.values():
        np.testing.assert_allclose(node.estimate, total / weight, rtol=1e-6, atol=1e-5)


def test_what_is_old_counts_once_and_what_is_broken_is_refused_by_name() -> None:
    sender, node = PushSum([2.0], ["b"]), PushSum([4.0], [])
    first, second = sender.push()["b"], sender.push()["b"]
    assert node.receive("a", second)
    assert not node.receive("a", second)
    assert not node.receive("a", first)
    # 1 and then half of the 1 that was left: 1.5 of 2, and so of the weight.
    assert node.total[0] == 5.5
    assert node.weight == 1.75
    for broken, wrong in (
        (Mass(9, np.array([np.nan]), 3.0), "'a': expected a finite"),
        (Mass(9, np.zeros(2), 3.0), "'a': expected a sum of shape"),
        (Mass(9, np.zeros(1), 0.1), "'a': expected a weight that grows"),
    ):
        with pytest.raises(TensorError, match=wrong):
            node.receive("a", broken)

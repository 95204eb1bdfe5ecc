"""A decoupled ring that learns: int8 with error feedback beside float32."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tfplus.gossip.compression.link import LINK_CODECS
from tfplus.gossip.membership.topology import ring
from tfplus.gossip.simulation.setup import Node, Watch
from tfplus.gossip.simulation.simulation import simulate
from tfplus.tensors import slices
from tfplus.tensors.slices import Tensors

# Which classes each device of the ring knows; none knows all.
KNOWN = {
    "a": (9, 0, 1, 2, 3), "b": (2, 3, 4, 5, 6), "c": (5, 6, 7, 8, 9), "d": (8, 9, 0, 1, 2),
}  # fmt: skip
FEATURES, NOISE = 64, 3.0


def name_of(task: int) -> str:
    return f"task/{task}/dense/kernel"


def data(count: int, classes: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    means = np.random.default_rng(0).normal(size=(10, FEATURES))
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, size=count)
    return means[labels] + NOISE * rng.normal(size=(count, FEATURES)), labels


def train(classes: tuple[int, ...], x: np.ndarray, y: np.ndarray, _: int, held: Tensors) -> Tensors:
    """Three steps of softmax regression over the classes that the device knows."""
    weights = np.stack([held[name_of(c)] for c in classes]).astype(np.float64)
    targets = (y[:, None] == np.array(classes)).astype(float)
    for _step in range(3):
        logits = x @ weights.T
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        weights -= 0.2 * (shares - targets).T @ x / len(x)
    return {name_of(c): w.astype(np.float32) for c, w in zip(classes, weights, strict=True)}


def accuracy(codec: str) -> tuple[float, int]:
    """Of the recomposed model over all ten classes, and the bytes that were sent."""
    near, sent = ring(list(KNOWN)), [0]
    nodes = {}
    for i, (name, classes) in enumerate(KNOWN.items()):
        x, y = data(300, classes, seed=1 + i)
        zeros = {name_of(c): np.zeros(FEATURES, np.float32) for c in classes}
        nodes[name] = Node(
            near[name], zeros, dict.fromkeys(zeros, 1.0), partial(train, classes, x, y)
        )

    def on_bytes(_: str, count: int) -> None:
        sent[0] += count

    watch = Watch(codec=LINK_CODECS[codec], on_bytes=on_bytes)
    result = simulate(nodes, rounds=30, watch=watch)
    assert result.finished == set(KNOWN)
    whole = slices.average(
        [slices.Contribution(t, dict.fromkeys(t, 1.0)) for t in result.tensors.values()]
    )
    x, y = data(4000, tuple(range(10)), seed=99)
    logits = x @ np.stack([whole[name_of(c)] for c in range(10)]).T
    return float((logits.argmax(axis=1) == y).mean()), sent[0]


def test_int8_with_error_feedback_learns_as_float32_at_a_quarter_of_the_bytes() -> None:
    exact, all_bytes = accuracy("float32")
    coded, fewer = accuracy("int8")
    assert 0.6 < exact < 0.99
    assert coded == pytest.approx(exact, abs=0.005)
    assert fewer <= 0.27 * all_bytes

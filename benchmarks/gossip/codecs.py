"""What a codec costs a decoupled ring in accuracy, and saves it in bytes; a simulation.

usage: python benchmarks/gossip/codecs.py [--seeds N] [--rounds N] [--write docs/gossip.md]
                                         [--json FILE]

The four devices of the demo know five of scikit-learn's digits each. A device holds a hidden layer
that all share, and a branch for each digit that it or a neighbour knows. It trains by gradient
descent in numpy, and averages with its neighbours by the gossip core, in a simulation without
faults. Of the recomposed model the accuracy on a quarter of all digits is taken, which no device
has. Samples, weights at the beginning and batches are the same for all codecs, by the seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from support.documents import insert  # noqa: E402

from tfplus.demo import digits  # noqa: E402
from tfplus.gossip.compression.link import LINK_CODECS  # noqa: E402
from tfplus.gossip.membership.topology import ring  # noqa: E402
from tfplus.gossip.mixing.sample_weights import slice_weights  # noqa: E402
from tfplus.gossip.simulation.setup import Node, Watch  # noqa: E402
from tfplus.gossip.simulation.simulation import simulate  # noqa: E402
from tfplus.tensors.slices import Contribution, Tensors, average  # noqa: E402

CODECS = ("float32", "float16", "int8", "top-k")
PIXELS, HIDDEN, CLASSES = 64, 32, 10
BATCH, RATE = 16, 0.2
_SHARED = "shared/hidden/kernel"

Values = npt.NDArray[np.float64]


def branch(digit: int) -> str:
    """The slice of a digit's branch: weights of the hidden values, and a bias."""
    return f"task/{digit}/logit/kernel"


def inputs(samples: digits.Samples) -> Values:
    """Pixels from 0 to 1, and a one for the bias: [n, 65]."""
    flat = samples.x.reshape(len(samples.x), PIXELS) / 16
    return np.hstack([flat, np.ones((len(flat), 1))])


def forward(x: Values, hidden: Values, branches: Values) -> tuple[Values, Values]:
    """Hidden values with a one, [n, 33], and logits, [n, branches]."""
    active = np.hstack([np.maximum(x @ hidden, 0), np.ones((len(x), 1))])
    return active, active @ branches.T


def train(
    held: tuple[int, ...],
    samples: digits.Samples,
    seed: int,
    round: int,
    tensors: Tensors,
) -> dict[str, npt.NDArray[np.float32]]:
    """One pass over a device's samples: softmax over the branches that it holds."""
    rng = np.random.default_rng((seed, round))
    x, targets = inputs(samples), (samples.y[:, None] == np.array(held)).astype(float)
    hidden = np.asarray(tensors[_SHARED], np.float64)
    branches = np.stack([np.asarray(tensors[branch(d)], np.float64) for d in held])
    order = rng.permutation(len(x))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        active, logits = forward(x[batch], hidden, branches)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        wrong = (shares - targets[batch]) / len(batch)
        back = (wrong @ branches)[:, :-1] * (active[:, :-1] > 0)
        branches -= RATE * wrong.T @ active
        hidden -= RATE * x[batch].T @ back
    values = {_SHARED: hidden} | {branch(d): w for d, w in zip(held, branches, strict=True)}
    return {name: value.astype(np.float32) for name, value in values.items()}


def begun(seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """The whole model at the beginning."""
    rng = np.random.default_rng(seed)
    shapes = {_SHARED: (PIXELS + 1, HIDDEN)} | {branch(d): (HIDDEN + 1,) for d in range(CLASSES)}
    return {
        name: rng.normal(scale=np.sqrt(2 / shape[0]), size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def learned(codec: str, rounds: int, seed: int) -> dict[str, Any]:
    """Lets the ring learn with a codec; what came of it."""
    rng = np.random.default_rng(seed)
    known, held_out = digits.split(digits.load(), digits.HELD_OUT, rng)
    near, whole = ring(list(digits.RING)), begun(seed)
    owners = {d: [n for n, ds in digits.RING.items() if d in ds] for d in range(CLASSES)}
    dealt = np.array([rng.choice(owners[int(label)]) for label in known.y])
    sent = 0

    def on_bytes(_: str, count: int) -> None:
        nonlocal sent
        sent += count

    nodes: dict[str, Node] = {}
    for i, (name, held) in enumerate(digits.with_neighbours(digits.RING).items()):
        samples = known.take(np.flatnonzero(dealt == name))
        start = {_SHARED: whole[_SHARED]} | {branch(d): whole[branch(d)] for d in held}
        trainer = partial(train, held, samples, seed * len(near) + i)
        nodes[name] = Node(near[name], start, slice_weights(start, len(samples.y)), trainer)
    watch = Watch(codec=LINK_CODECS[codec], on_bytes=on_bytes, keep_rounds=False)
    result = simulate(nodes, rounds=rounds, watch=watch)
    model = average(
        [Contribution(result.tensors[n], node.slice_weights) for n, node in nodes.items()]
    )
    return {"codec": codec, "seed": seed, "accuracy": judged(model, held_out), "bytes": sent}


def judged(model: Mapping[str, npt.NDArray[Any]], held_out: digits.Samples) -> float:
    """Accuracy of the recomposed model over all ten digits."""
    branches = np.stack([model[branch(d)] for d in range(CLASSES)])
    _, logits = forward(inputs(held_out), model[_SHARED], branches)
    return float((logits.argmax(axis=1) == held_out.y).mean())


def table(rows: list[dict[str, Any]], rounds: int) -> str:
    """Markdown."""
    exact = {row["seed"]: row for row in rows if row["codec"] == CODECS[0]}
    lines = [
        f"Over {len(exact)} seeds, {rounds} rounds; a simulation:",
        "",
        "| `--codec` | accuracy, mean (least to most) | against float32, points: mean (least to "
        "most) | bytes, of float32's |",
        "|---|---:|---:|---:|",
    ]
    for codec in dict.fromkeys(row["codec"] for row in rows):
        of = [row for row in rows if row["codec"] == codec]
        found = [row["accuracy"] for row in of]
        apart = [100 * (row["accuracy"] - exact[row["seed"]]["accuracy"]) for row in of]
        share = statistics.mean(row["bytes"] / exact[row["seed"]]["bytes"] for row in of)
        lines.append(
            f"| {codec} | {statistics.mean(found):.2%} ({min(found):.2%} to {max(found):.2%}) "
            f"| {statistics.mean(apart):+.2f} ({min(apart):+.2f} to {max(apart):+.2f}) "
            f"| {share:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Prints the table, and writes it where that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for codec in CODECS:
        rows += [learned(codec, given.rounds, seed) for seed in range(given.seeds)]
        print(f"{codec}: {given.seeds} seeds", file=sys.stderr)
    text = table(rows, given.rounds)
    print(text)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    if given.write:
        document = insert(given.write.read_text("utf-8"), text, "gossip/codecs")
        given.write.write_text(document, "utf-8")


if __name__ == "__main__":
    main()

"""Measuring freeze points on what was collected, so that a policy chooses among their files.

The files are of one network, cut at one layer, at this one and a later one, and so on. What is kept
behind an earlier layer is computed on for the later ones, so that every point is measured on the
same samples; a fifth of them, by their hash, is held out.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tfplus.errors import UsageError
from tfplus.feature_server import head
from tfplus.feature_server.freeze_policy import Point, Policy
from tfplus.feature_server.state.records import Key, Sample
from tfplus.feature_server.state.store import Store
from tfplus.features import signature
from tfplus.features.chain import Chain
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import interpreter

# Below it an accuracy says too little.
LEAST_HELD_OUT = 20
_ONE_IN = 5


@dataclass(frozen=True)
class Chosen:
    """The file to publish.

    Attributes:
      read: it.
      why: for people; empty where there was no choice.
      samples: all that are known, with features behind this file's last frozen layer.
      points: what was measured, in the order of the files; empty where nothing was.
    """

    read: Artifact
    why: str = ""
    samples: Mapping[Key, Sample] = field(default_factory=dict[Key, Sample])
    points: tuple[Point, ...] = ()


def choose(
    files: Sequence[Artifact],
    store: Store,
    policy: Policy,
    *,
    epochs: int,
    threads: int = 0,
    now: Callable[[], float] = time.perf_counter,
) -> Chosen:
    """Trains a head at each freeze point, and lets a policy choose.

    Where too few samples were collected, what was published last stays, or the first file.

    Args:
      files: at least one.
      store: of the samples.
      policy: see `freeze_policy`.
      epochs: passes over the samples that are not held out.
      threads: of the interpreter.
      now: seconds, for the time of a training.

    Raises:
      UsageError: the files are not of one network, each cut once more than the one before it.
    """
    if len(files) == 1:
        return Chosen(files[0])
    files = sorted(files, key=lambda read: len(read.manifest.features))
    _check(files)
    known = [_samples(read, store, threads) for read in files]
    common = sorted(set[Key].intersection(*(set(each) for each in known)))
    held_out = np.array([_is_held_out(key) for key in common], bool)
    number = int(held_out.sum())
    if min(number, len(common) - number) < LEAST_HELD_OUT:
        place = _as_before(files, store)
        layer = files[place].manifest.features[-1].layer
        why = (
            f"'{layer}': not measured, {number} samples of {LEAST_HELD_OUT} could be held out: "
            "what was published last, or the first"
        )
        return Chosen(files[place], why, known[place])
    points = tuple(
        _measured(read, [of_file[key] for key in common], held_out, epochs, threads, now)
        for read, of_file in zip(files, known, strict=True)
    )
    choice = policy(points)
    return Chosen(files[choice.place], choice.why, known[choice.place], points)


def _check(files: Sequence[Artifact]) -> None:
    for read in files:
        head.check(read.manifest)
    for one, other in pairwise(files):
        first, second = one.manifest, other.manifest
        makers = [signature.makers(m.features, m.preprocessing) for m in (first, second)]
        if len(makers[0]) == len(makers[1]) or makers[1][: len(makers[0])] != makers[0]:
            raise UsageError(
                f"{other.path} does not go on from {one.path}: expected files of one model, each "
                "cut once more (`--split a`, then `--split a --split b`)"
            )
        if signature.hyper_parameters(first) != signature.hyper_parameters(second):
            raise UsageError(
                f"{one.path} and {other.path} train in different ways: expected the same "
                "optimizer, batch size, classes and losses"
            )


def _samples(read: Artifact, store: Store, threads: int) -> dict[Key, Sample]:
    """Every sample behind the last frozen layer, from the nearest layer it is kept behind."""
    manifest = read.manifest
    chain = Chain(read, interpreter.find(), threads)
    hyper = signature.hyper_parameters(manifest)
    found: dict[Key, Sample] = {}
    for place, (maker, graph) in enumerate(zip(chain.makers, chain.graphs, strict=True)):
        kept = store.keyed(maker, hyper, graph.feature.shape)
        if not kept:
            continue
        rows = np.stack([sample.row for sample in kept.values()])
        if place + 1 < len(chain.graphs):
            rows = chain.of_layer(place + 1, rows)
        for (key, sample), row in zip(kept.items(), rows, strict=True):
            before = found.get(key, sample)
            # A label that was corrected later counts, whichever layer it came with.
            newest = sample if sample.arrival >= before.arrival else before
            found[key] = Sample(newest.arrival, newest.label, row)
    return found


def _is_held_out(key: Key) -> bool:
    device, sample = key
    return hashlib.sha256(device.encode() + b"\0" + sample).digest()[0] % _ONE_IN == 0


def _as_before(files: Sequence[Artifact], store: Store) -> int:
    newest = store.newest()
    published = "" if newest is None else newest.model_sha256
    return next((i for i, read in enumerate(files) if read.sha256 == published), 0)


def _measured(
    read: Artifact,
    samples: Sequence[Sample],
    held_out: np.ndarray,
    epochs: int,
    threads: int,
    now: Callable[[], float],
) -> Point:
    rows = np.stack([sample.row for sample in samples])
    labels = np.array([sample.label for sample in samples], np.int64)
    began, initial = now(), artifact.initial_values(read)
    trained = head.train(
        read, initial, rows[~held_out], labels[~held_out], epochs=epochs, seed=0, threads=threads
    )
    train_s = now() - began
    accuracy, loss = head.evaluate(
        read, trained.values, rows[held_out], labels[held_out], threads=threads
    )
    graph = read.manifest.features[-1]
    size = 4 * math.prod(graph.feature.shape)
    return Point(graph.layer, accuracy, loss, int(held_out.sum()), size, train_s)

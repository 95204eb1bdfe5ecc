"""Measuring freeze points on what was collected, so that a policy chooses among their files.

What is kept behind an earlier layer is computed on for the later ones, so that every point is
measured on the same samples, under the label that came last; a fifth of them, by their hash, is
held out.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfplus.feature_server import head
from tfplus.feature_server.candidates import Candidate
from tfplus.feature_server.freeze_policy import Point, Policy
from tfplus.feature_server.state.records import Key, Sample
from tfplus.feature_server.state.store import Store
from tfplus.features.chain import Chain
from tfplus.model_file import artifact
from tfplus.runtime import interpreter

# Below it an accuracy says too little.
LEAST_HELD_OUT = 20
_ONE_IN = 5


@dataclass(frozen=True)
class Chosen:
    """The freeze point to train behind.

    Attributes:
      place: of its file among the candidates.
      why: for people; empty where there was no choice.
      points: what was measured, in the order of the files; empty where nothing was.
    """

    place: int
    why: str = ""
    points: tuple[Point, ...] = ()


def choose(
    files: Sequence[Candidate],
    store: Store,
    policy: Policy,
    current: int,
    *,
    epochs: int,
    threads: int = 0,
    now: Callable[[], float] = time.perf_counter,
) -> Chosen:
    """Trains a head at each freeze point, and lets a policy choose.

    What was computed on is kept in the store. Where too few samples were collected, the current
    point stays.

    Args:
      files: at least one; see `candidates`.
      store: of the samples.
      policy: see `freeze_policy`.
      current: place of the file that is published.
      epochs: passes over the samples that are not held out.
      threads: of the interpreter.
      now: seconds, for the time of a training.
    """
    if len(files) == 1:
        return Chosen(0)
    stored = [_stored(file, store) for file in files]
    known = _under_newest_labels(
        [_samples(file, kept, threads) for file, kept in zip(files, stored, strict=True)]
    )
    for file, kept, samples in zip(files, stored, known, strict=True):
        new = {key: one for key, one in samples.items() if one is not kept[-1].get(key)}
        store.carry(file.wanted.maker, file.wanted.hyper, new)
    common = sorted(set[Key].intersection(*(set(each) for each in known)))
    held_out = np.array([_is_held_out(key) for key in common], bool)
    number = int(held_out.sum())
    if min(number, len(common) - number) < LEAST_HELD_OUT:
        why = (
            f"'{files[current].layer}': not measured, {number} samples of {LEAST_HELD_OUT} could "
            "be held out: what was published last, or the first"
        )
        return Chosen(current, why)
    points = tuple(
        _measured(file, [of_file[key] for key in common], held_out, epochs, threads, now)
        for file, of_file in zip(files, known, strict=True)
    )
    choice = policy(points, current)
    return Chosen(choice.place, choice.why, points)


def _stored(file: Candidate, store: Store) -> list[dict[Key, Sample]]:
    """What was kept behind each frozen piece."""
    hyper, graphs = file.wanted.hyper, file.read.manifest.features
    return [
        store.keyed(maker, hyper, graph.feature.shape)
        for maker, graph in zip(file.makers, graphs, strict=True)
    ]


def _samples(
    file: Candidate, kept: Sequence[Mapping[Key, Sample]], threads: int
) -> dict[Key, Sample]:
    """Every sample behind the last frozen piece, from the latest one that it is kept behind."""
    chain = Chain(file.read, interpreter.find(), threads)
    found = dict(kept[-1])
    for place in reversed(range(len(kept) - 1)):
        for key in kept[place].keys() & found.keys():
            found[key] = _under(found[key], kept[place][key])
        new = sorted(kept[place].keys() - found.keys())
        if new:
            rows = np.stack([kept[place][key].row for key in new])
            made = chain.of_layer(place + 1, rows)
            found |= {
                key: replace(kept[place][key], row=row) for key, row in zip(new, made, strict=True)
            }
    return found


def _under_newest_labels(known: Sequence[Mapping[Key, Sample]]) -> list[dict[Key, Sample]]:
    """A label that was corrected later counts, whichever layer it came with."""
    newest: dict[Key, Sample] = {}
    for of_file in known:
        for key, sample in of_file.items():
            newest[key] = _under(sample, newest.get(key, sample))
    return [{k: _under(sample, newest[k]) for k, sample in each.items()} for each in known]


def _under(sample: Sample, other: Sample) -> Sample:
    """A sample under the label of another one of its key, if that came later."""
    if other.arrival <= sample.arrival:
        return sample
    return replace(sample, arrival=other.arrival, label=other.label)


def _is_held_out(key: Key) -> bool:
    device, sample = key
    return hashlib.sha256(device.encode() + b"\0" + sample).digest()[0] % _ONE_IN == 0


def _measured(
    file: Candidate,
    samples: Sequence[Sample],
    held_out: np.ndarray,
    epochs: int,
    threads: int,
    now: Callable[[], float],
) -> Point:
    read = file.read
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
    size = 4 * math.prod(file.wanted.shape)
    return Point(file.layer, accuracy, loss, int(held_out.sum()), size, train_s)

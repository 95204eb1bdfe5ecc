"""The competitors: who trains what, from one start, on one deal of the samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from papers import heterofl, networks
from papers.data import Samples, Task, deal
from papers.device import Device, Files
from papers.learning import Curve, judged, learn
from papers.prepared import Prepared
from papers.results import Results
from tfplus.errors import DataError
from tfplus.gossip.membership.topology import mesh, ring
from tfplus_export.decoupling import backbone, submodel

DECOUPLED = ("ring", "ring-kept", "mesh", "alone", "central")
SYSTEMS = (*DECOUPLED, "full", "fedavg", "fedavg-local", "heterofl")
"""Names of all; the others have the network before the cut."""
Known = tuple[tuple[int, ...], ...]
"""Classes of each device, in the order of the ring."""


@dataclass
class Systems:
    """All systems of one seed; what was learned once is not learned again.

    Attributes:
      start: what all begin with.
      files: exported, for all seeds.
      rounds: of every system.
      kept_rounds: of systems that keep the output of frozen layers, whose rounds cost little.
      epochs: of local training a round.
      rates: of learning, by system.
      results: what is known, also of earlier calls.
      said: told what is being learned.
      learned: every curve that was asked for, by system.
      trial: whether a system that diverges counts as one that knows nothing, as where rates are
        tried; it is an error otherwise.
    """

    start: Prepared
    files: Files
    rounds: int
    kept_rounds: int
    epochs: int
    rates: Mapping[str, float]
    results: Results
    said: Callable[[str], None]
    learned: dict[str, Curve] = field(default_factory=dict[str, Curve])
    trial: bool = False

    def __post_init__(self) -> None:
        self._every = tuple(range(self.start.task.classes))

    @cached_property
    def _features(self) -> Task:
        """The task with what the plan's shared layers make of each sample."""
        shared: Any = backbone.halves(self.start.decoupled).shared

        def of(samples: Samples) -> Samples:
            return Samples(shared.predict(samples.x, verbose=0), samples.y)

        task = self.start.task
        return replace(task, desk=of(task.desk), train=of(task.train), test=of(task.test))

    def ring(self, known: Known) -> Curve:
        """Sub-models of own classes, averaged with both neighbours."""
        return self._once("ring", known, lambda: self._decoupled("ring", known, ring))

    def ring_kept(self, known: Known) -> Curve:
        """The ring with frozen shared layers, whose output each device keeps."""
        return self._once(
            "ring-kept", known, lambda: self._decoupled("ring-kept", known, ring, keeps=True)
        )

    def mesh(self, known: Known) -> Curve:
        """The same, averaged with all others."""
        return self._once("mesh", known, lambda: self._decoupled("mesh", known, mesh))

    def alone(self, known: Known) -> Curve:
        """The same, never averaged; the whole is put together from what each came to."""
        return self._once(
            "alone",
            known,
            lambda: self._decoupled("alone", known, lambda names: dict.fromkeys(names, ())),
        )

    def central_decoupled(self) -> Curve:
        """The decoupled model with all classes on all samples."""
        return self._once(
            "central", (), lambda: self._decoupled("central", (self._every,), lambda _: {"0": ()})
        )

    def central(self) -> Curve:
        """The network before the cut on all samples."""
        return self._once("full", (), lambda: self._full("full", (self._every,), heads=False))

    def federated(self, known: Known) -> Curve:
        """The whole network on every device, averaged over all of them; softmax over all classes.

        Averaging over a mesh is FedAvg: everybody gets the mean, weighed by samples.
        """
        return self._once("fedavg", known, lambda: self._full("fedavg", known, heads=False))

    def federated_local(self, known: Known) -> Curve:
        """The same with a softmax over the device's own classes."""
        return self._once(
            "fedavg-local", known, lambda: self._full("fedavg-local", known, heads=True)
        )

    def nested(self, known: Known) -> Curve:
        """HeteroFL's two widths, at the sub-models' computation on average."""
        return self._once("heterofl", known, lambda: self._nested(known))

    def _once(self, name: str, known: Known, learned: Callable[[], Curve]) -> Curve:
        rounds = self.kept_rounds if name.endswith("-kept") else self.rounds

        def told() -> Curve:
            rate = self.rates[name]
            self.said(f"seed {self.start.seed}: {name} {len(known) or 1} devices, rate {rate:g}")
            try:
                return learned()
            except DataError as error:
                if not self.trial:
                    raise
                self.said(str(error))
                nothing = (0.0,) * (rounds + 1)
                return Curve(nothing, nothing, 0.0, 0.0, 0.0)

        depends = {
            "known": known,
            "rounds": rounds,
            "rate": self.rates[name],
        }
        self.learned[name] = self.results.of(self.start.seed, name, depends, told)
        return self.learned[name]

    def _decoupled(
        self, name: str, known: Known, topology: Callable[[Any], Any], *, keeps: bool = False
    ) -> Curve:
        start, files = self.start, self.files
        form = "decoupled-{}-kept" if keeps else "decoupled-{}"
        task = self._features if keeps else start.task

        def path_of(count: int) -> Path:
            part = submodel.build(start.decoupled, start.plan, tuple(range(count)))
            return (files.kept if keeps else files.of)(form.format(count), part)

        weights = {n: np.asarray(w) for n, w in start.plan.weights.items()}
        every = self._every
        whole = self._device(name, path_of(len(every)), weights, every, every, task.test)
        devices = {
            device: self._device(name, path_of(len(own)), weights, own, own, samples)
            for (device, own), samples in self._dealt(known, task)
        }
        return self._gossiped(devices, topology(list(devices)), whole, known, form, task)

    def _full(self, name: str, known: Known, *, heads: bool) -> Curve:
        task, start, files = self.start.task, self.start, self.files
        weights = networks.headed_weights(start.full) if heads else start.full

        def path_of(count: int) -> Path:
            if not heads:
                return files.of("full", networks.network(task.shape, task.classes))
            return files.of(f"headed-{count}", networks.headed(task.shape, count))

        every = self._every
        whole = self._device(name, path_of(len(every)), weights, every, every, task.test)
        devices = {
            device: self._device(
                name, path_of(len(own)), weights, own if heads else every, own, samples
            )
            for (device, own), samples in self._dealt(known, task)
        }
        form = "headed-{}" if heads else "full"
        return self._gossiped(devices, mesh(list(devices)), whole, known, form, task)

    def _nested(self, known: Known) -> Curve:
        task, files, held = self.start.task, self.files, len(known[0])
        wanted = files.step_flops[f"decoupled-{held}"]
        both = heterofl.widths(task.shape, held, wanted)
        every = networks.headed_weights(self.start.full)

        def device(width: float, count: int, own: Any, samples: Samples) -> Device:
            form = f"nested-{width:g}-{count}"
            path = files.of(form, networks.headed(task.shape, count, width))
            shapes = networks.shapes(networks.headed(task.shape, task.classes, width))
            cut = heterofl.first(every, shapes)
            return self._device("heterofl", path, cut, own, own, samples)

        whole = device(both[0], len(self._every), self._every, task.test)
        devices = {
            name: device(both[i % 2], len(own), own, samples)
            for i, ((name, own), samples) in enumerate(self._dealt(known, task))
        }
        course, wholes = heterofl.learn(devices, whole.weights, self.rounds)
        flops = np.mean([files.step_flops[f"nested-{w:g}-{held}"] for w in both])
        links = mesh(list(devices))
        return judged(devices, links, course, whole, task.test, task.desk, int(flops), wholes)

    def _gossiped(
        self,
        devices: Mapping[str, Device],
        links: Any,
        whole: Device,
        known: Known,
        form: str,
        task: Task,
    ) -> Curve:
        files = self.files
        flops = np.mean([files.step_flops[form.format(len(own))] for own in known])
        features = files.feature_flops.get(form.format(len(known[0])))
        rounds = self.rounds if features is None else self.kept_rounds
        course = learn(devices, links, rounds)
        return judged(
            devices,
            links,
            course,
            whole,
            task.test,
            task.desk,
            int(flops),
            feature_flops=features or 0,
        )

    def _dealt(self, known: Known, task: Task) -> list[tuple[tuple[str, tuple[int, ...]], Samples]]:
        holders = {str(i): own for i, own in enumerate(known)}
        dealt = deal(task.train, holders, self.start.seed)
        return [((name, own), dealt[name]) for name, own in holders.items()]

    def _device(
        self, system: str, path: Path, weights: Any, outputs: Any, known: Any, samples: Samples
    ) -> Device:
        rate = self.rates[system]
        return Device(path, weights, outputs, known, samples, self.epochs, self.start.seed, rate)

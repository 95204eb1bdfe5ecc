"""Liveness: when the tensors of a step live, and which to compute again so that less does."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise

import numpy as np

from tfplus.tflite.operator_kinds import COPYING, ELEMENTWISE, RESHAPING
from tfplus_export.passes.ir.step_graph import Operator, StepGraph
from tfplus_export.passes.memory import peak
from tfplus_export.passes.rematerialization.plans import Plan, Rematerialization, moved_bytes

# They cost what they move, draw nothing and write no variable.
_CHEAP = ELEMENTWISE | RESHAPING | COPYING | {"AVERAGE_POOL_2D", "MAX_POOL_2D", "SOFTMAX"}
# Operators that run again for one tensor.
_LONGEST_CHAIN = 24
# A tensor smaller than this part of the target is not worth the search.
_SMALLEST_PART = 512


class Liveness:
    """When the tensors of a plan live, and how many bytes of them at each operator."""

    def __init__(self, plan: Plan) -> None:
        graph = plan.graph
        self.plan = plan
        self.operators = graph.operators
        self.sizes = [t.size_bytes for t in graph.tensors]
        self.made = dict.fromkeys(graph.given, -1)
        self.uses: dict[int, list[int]] = {}
        self.written: dict[int, int] = {}
        for place, operator in enumerate(graph.operators):
            self.made |= dict.fromkeys(operator.writes, place)
            for t in operator.reads:
                self.uses.setdefault(t, []).append(place)
            if operator.name == "ASSIGN_VARIABLE":
                self.written[operator.reads[0]] = place
        for t in graph.kept:
            self.uses.setdefault(t, []).append(len(graph.operators))
        self.versions: dict[int, list[int]] = {}
        for t in sorted(self.made, key=lambda t: self.made[t]):
            self.versions.setdefault(plan.origins[t], []).append(t)
        change = np.zeros(len(graph.operators) + 2, np.int64)
        for t, made in self.made.items():
            change[max(made, 0)] += self.sizes[t]
            change[self.last(t) + 1] -= self.sizes[t]
        self.live = np.cumsum(change)[:-1]
        counts = {t: len(places) for t, places in self.uses.items()}
        self.beside = [
            peak.scratch_bytes(graph, operator)
            - (self.sizes[operator.writes[0]] if _overwrites(graph, operator, counts) else 0)
            for operator in graph.operators
        ]
        self.live[: len(self.beside)] += np.array(self.beside, np.int64)

    def last(self, tensor: int) -> int:
        """Place of its last use; of what makes it where nothing uses it."""
        found = self.uses.get(tensor)
        return found[-1] if found else max(self.made[tensor], 0)

    def best(self, target: int, refused: Collection[int]) -> list[Rematerialization]:
        """Choices that take most of what lies above a target, for what they cost.

        No two of them have to do with one tensor, and none is of a tensor that equals a refused
        one; empty where nothing helps.
        """
        found = [
            (self._worth(choice, target), choice)
            for choice in self._choices(target)
            if self.plan.origins[choice.tensor] not in refused
        ]
        found = sorted((f for f in found if f[0] > 0), key=lambda f: -f[0])
        chosen: list[Rematerialization] = []
        touched: set[int] = set()
        before, self.live = self.live, self.live.copy()
        for worth, choice in found:
            tensors = {choice.tensor, *choice.inputs.values()}
            tensors |= {t for place in choice.chain for t in self.operators[place].writes}
            # Those before it may have taken away what it was for.
            if tensors.isdisjoint(touched) and self._worth(choice, target) * 2 >= worth:
                chosen.append(choice)
                touched |= tensors
                first, live = self._live_after(choice)
                self.live[first : choice.place] = live
        self.live = before
        return chosen

    def _choices(self, target: int) -> Iterator[Rematerialization]:
        above = np.concatenate(([0], np.cumsum(self.live > target)))
        for t, made in self.made.items():
            small = self.sizes[t] * _SMALLEST_PART < target or not self.sizes[t]
            if small or made < 0 or self.operators[made].name not in _CHEAP:
                continue
            for start, place in pairwise([made, *self.uses.get(t, ())]):
                if place < len(self.operators) and above[place] > above[start + 1]:
                    choice = self._choice(t, start, place, target)
                    if choice is not None:
                        yield choice

    def _worth(self, choice: Rematerialization, target: int) -> float:
        """Bytes above a target that go away, summed over all places, for each byte moved again."""
        return self._gain(choice, target) / moved_bytes(
            self.plan.graph, (self.operators[place] for place in choice.chain)
        )

    def _choice(self, tensor: int, start: int, place: int, target: int) -> Rematerialization | None:
        chain: set[int] = set()
        inputs: dict[int, int] = {}
        waiting = [tensor]
        while waiting:
            made = self.made[waiting.pop()]
            if made in chain:
                continue
            chain.add(made)
            operator = self.operators[made]
            if len(chain) > _LONGEST_CHAIN or self.written.get(operator.reads[0], place) < place:
                return None
            for t in operator.reads:
                if t not in self.made or t in inputs:
                    continue
                equal = self.versions[self.plan.origins[t]]
                newest = max((v for v in equal if self.made[v] < place), key=self.made.__getitem__)
                if self._lives(newest, place, target, self.sizes[tensor]):
                    inputs[t] = newest
                else:
                    waiting.append(t)
        return Rematerialization(tensor, start, place, tuple(sorted(chain)), inputs)

    def _lives(self, tensor: int, place: int, target: int, size: int) -> bool:
        """Whether a tensor lives until a place, or may live until then."""
        last, made = self.last(tensor), self.made[tensor]
        if last >= place or made < 0 or self.operators[made].name not in _CHEAP:
            return True
        more = self.sizes[tensor]
        between = self.live[last + 1 : place]
        return more * 16 <= size or not len(between) or int(between.max()) + more <= target

    def _live_after(self, choice: Rematerialization) -> tuple[int, np.ndarray]:
        """Bytes that live at each place up to the choice's, and the first of these places."""
        kept = {v for v in choice.inputs.values() if self.last(v) < choice.place}
        first = min([choice.start, *(self.last(v) for v in kept)]) + 1
        after = self.live[first : choice.place].copy()
        after[choice.start + 1 - first :] -= self.sizes[choice.tensor]
        for v in kept:
            after[self.last(v) + 1 - first :] += self.sizes[v]
        return first, after

    def _gain(self, choice: Rematerialization, target: int) -> int:
        """Bytes above the target, summed over all places, that go away."""
        place, size = choice.place, self.sizes[choice.tensor]
        first, after = self._live_after(choice)
        before = self.live[first:place]
        gain = int(np.maximum(before - target, 0).sum() - np.maximum(after - target, 0).sum())
        made_there = sum(self.sizes[t] for t in self.operators[place].writes)
        beside = int(self.live[place]) - size - made_there - self.beside[place]
        for living in self._while_it_runs(choice):
            gain -= max(beside + living - target, 0)
        return gain

    def _while_it_runs(self, choice: Rematerialization) -> list[int]:
        """Bytes that the repeated operators add, at each of them."""
        last = {t: i for i, p in enumerate(choice.chain) for t in self.operators[p].reads}
        last[choice.tensor] = len(choice.chain)
        living: dict[int, int] = {}
        found: list[int] = []
        for i, p in enumerate(choice.chain):
            living |= {t: self.sizes[t] for t in self.operators[p].writes}
            found.append(sum(living.values()))
            living = {t: size for t, size in living.items() if last.get(t, i) > i}
        return found


def _overwrites(graph: StepGraph, operator: Operator, counts: dict[int, int]) -> bool:
    return bool(operator.writes) and peak.overwritten(graph, operator, counts) is not None

"""Computing a tensor a second time instead of keeping it, where a step must fit into less memory.

The backward pass reads again what the forward pass read: columns of convolutions, activations,
weights. Between both uses such a tensor only takes room. Where the tensors that live at once are
too many, the operators that made one run again just before its next use, on the same inputs: the
step computes the same bits. Copies and elementwise operators may run again, products may not.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, keep the activations of some
layers and recompute the others. Here the choice is made tensor by tensor, by what each saves for
what it costs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from tfplus_export.arrangement import arenas
from tfplus_export.arrangement.aliases import overwritten
from tfplus_export.arrangement.operator_kinds import COPYING, ELEMENTWISE, RESHAPING
from tfplus_export.arrangement.step_graph import Operator, StepGraph

# They cost what they move, draw nothing and write no variable.
_CHEAP = ELEMENTWISE | RESHAPING | COPYING | {"AVERAGE_POOL_2D", "MAX_POOL_2D", "SOFTMAX"}
# Operators that run again for one tensor.
_LONGEST_CHAIN = 24
# A tensor smaller than this part of the target is not worth the search.
_SMALLEST_PART = 512
# Of what lives at most, in one stage.
_STAGE = 0.97
# Beyond, a plan would take longer than it is worth.
_MOST_STAGES = 100
_MOST_ROUNDS = 200
# Of what a step moves. Less memory is faster memory, but more costs time and saves little.
_FREE_SHARE = 0.03


@dataclass(frozen=True)
class Plan:
    """A step that computes some tensors twice.

    Attributes:
      graph: with the operators that run again, and the tensors that they make.
      sources: of each operator, the index of the one in the file that it repeats, or is.
      origins: of each tensor, the index of the one in the file that it equals, or is.
      again_bytes: what the repeated operators read and write.
    """

    graph: StepGraph
    sources: tuple[int, ...]
    origins: tuple[int, ...]
    again_bytes: int

    @cached_property
    def timeline(self) -> _Timeline:
        """When its tensors live."""
        return _Timeline(self)


def unchanged(graph: StepGraph, order: Sequence[int]) -> Plan:
    """A plan that repeats nothing."""
    return Plan(graph.ordered(order), tuple(order), tuple(range(len(graph.tensors))), 0)


def reduced(plan: Plan, limit_bytes: int | None, runtimes: Sequence[str]) -> Plan:
    """Repeats operators where that is nearly free, and beyond until a step's tensors fit.

    Args:
      plan: that repeats nothing.
      limit_bytes: what the tensors may take; None for no limit.
      runtimes: that are to run it.

    Returns:
      Of the plans whose repetition is nearly free, the one that takes least; the first plan that
      fits where that one does not; where none fits, the one that takes least.
    """
    free_bytes = int(_FREE_SHARE * moved_bytes(plan.graph, plan.graph.operators))
    best, best_bytes = plan, arenas.most_bytes(plan.graph, runtimes)
    for _ in range(_MOST_STAGES):
        # The highest places first: what is repeated for them often lowers others.
        most = int(plan.timeline.live.max())
        plan = _lowered(plan, int(most * _STAGE))
        fits = limit_bytes is None or best_bytes <= limit_bytes
        if fits and plan.again_bytes > free_bytes:
            break
        total = arenas.most_bytes(plan.graph, runtimes)
        if total < best_bytes:
            best, best_bytes = plan, total
        if int(plan.timeline.live.max()) == most:
            break
    return best


def moved_bytes(graph: StepGraph, operators: Iterable[Operator]) -> int:
    """What operators of a graph read and write."""
    return sum(
        math.prod(graph.tensors[t].shape) * graph.tensors[t].item_bytes
        for operator in operators
        for t in (*operator.reads, *operator.writes)
        if t >= 0
    )


def _lowered(plan: Plan, target: int) -> Plan:
    """Repeats operators until no more than so many bytes live at once, or nothing more helps."""
    refused: set[int] = set()
    most = overwritten(plan.graph)
    for _ in range(_MOST_ROUNDS):
        chosen = plan.timeline.best(target, refused)
        if not chosen:
            break
        # From the last place on, so that the places in front of it stay what they are.
        for choice in sorted(chosen, key=lambda c: -c.place):
            lowered = _repeated(plan, choice)
            if overwritten(lowered.graph) > most:
                refused.add(plan.origins[choice.tensor])
            else:
                plan = lowered
    return plan


@dataclass(frozen=True)
class _Choice:
    """A tensor to compute again before an operator.

    Attributes:
      tensor: which.
      start: place of the operator that used it before that.
      place: of the operator that needs it.
      chain: places of the operators to repeat, in their order.
      inputs: tensor that the chain reads and does not make → the equal one that lives by then.
    """

    tensor: int
    start: int
    place: int
    chain: tuple[int, ...]
    inputs: dict[int, int]


class _Timeline:
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
            arenas.scratch_bytes(graph, operator)
            - (self.sizes[operator.writes[0]] if _overwrites(graph, operator, counts) else 0)
            for operator in graph.operators
        ]
        self.live[: len(self.beside)] += np.array(self.beside, np.int64)

    def last(self, tensor: int) -> int:
        """Place of its last use; of what makes it where nothing uses it."""
        found = self.uses.get(tensor)
        return found[-1] if found else max(self.made[tensor], 0)

    def best(self, target: int, refused: Collection[int]) -> list[_Choice]:
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
        chosen: list[_Choice] = []
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

    def _choices(self, target: int) -> Iterator[_Choice]:
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

    def _worth(self, choice: _Choice, target: int) -> float:
        """Bytes above a target that go away, summed over all places, for each byte moved again."""
        return self._gain(choice, target) / moved_bytes(
            self.plan.graph, (self.operators[place] for place in choice.chain)
        )

    def _choice(self, tensor: int, start: int, place: int, target: int) -> _Choice | None:
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
        return _Choice(tensor, start, place, tuple(sorted(chain)), inputs)

    def _lives(self, tensor: int, place: int, target: int, size: int) -> bool:
        """Whether a tensor lives until a place, or may live until then."""
        last, made = self.last(tensor), self.made[tensor]
        if last >= place or made < 0 or self.operators[made].name not in _CHEAP:
            return True
        more = self.sizes[tensor]
        between = self.live[last + 1 : place]
        return more * 16 <= size or not len(between) or int(between.max()) + more <= target

    def _live_after(self, choice: _Choice) -> tuple[int, np.ndarray]:
        """Bytes that live at each place up to the choice's, and the first of these places."""
        kept = {v for v in choice.inputs.values() if self.last(v) < choice.place}
        first = min([choice.start, *(self.last(v) for v in kept)]) + 1
        after = self.live[first : choice.place].copy()
        after[choice.start + 1 - first :] -= self.sizes[choice.tensor]
        for v in kept:
            after[self.last(v) + 1 - first :] += self.sizes[v]
        return first, after

    def _gain(self, choice: _Choice, target: int) -> int:
        """Bytes above the target, summed over all places, that go away."""
        place, size = choice.place, self.sizes[choice.tensor]
        first, after = self._live_after(choice)
        before = self.live[first:place]
        gain = int(np.maximum(before - target, 0).sum() - np.maximum(after - target, 0).sum())
        made_there = sum(self.sizes[t] for t in self.operators[place].writes)
        beside = int(self.live[place]) - size - made_there - self.beside[place]
        for living in self._while_repeating(choice):
            gain -= max(beside + living - target, 0)
        return gain

    def _while_repeating(self, choice: _Choice) -> list[int]:
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
    return bool(operator.writes) and arenas.overwritten(graph, operator, counts) is not None


def _repeated(plan: Plan, choice: _Choice) -> Plan:
    """The plan with a choice carried out."""
    graph = plan.graph
    tensors, origins = list(graph.tensors), list(plan.origins)
    names = dict(choice.inputs)
    again: list[Operator] = []
    for place in choice.chain:
        operator = graph.operators[place]
        reads = tuple(names.get(t, t) for t in operator.reads)
        for t in operator.writes:
            names[t] = len(tensors)
            tensors.append(graph.tensors[t])
            origins.append(plan.origins[t])
        writes = tuple(names[t] for t in operator.writes)
        again.append(replace(operator, reads=reads, writes=writes))
    result = names[choice.tensor]
    later = [
        replace(o, reads=tuple(result if t == choice.tensor else t for t in o.reads))
        if choice.tensor in o.reads
        else o
        for o in graph.operators[choice.place :]
    ]
    return Plan(
        replace(
            graph,
            operators=(*graph.operators[: choice.place], *again, *later),
            tensors=tuple(tensors),
        ),
        (
            *plan.sources[: choice.place],
            *(plan.sources[p] for p in choice.chain),
            *plan.sources[choice.place :],
        ),
        tuple(origins),
        plan.again_bytes + moved_bytes(graph, (graph.operators[p] for p in choice.chain)),
    )

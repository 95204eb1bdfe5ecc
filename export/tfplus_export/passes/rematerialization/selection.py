"""Rematerialization: computing a tensor again instead of keeping it, where memory is short.

The backward pass reads again what the forward pass read: columns of convolutions, activations,
weights. Between both uses such a tensor only takes room. Where the tensors that live at once are
too many, the operators that made one run again just before its next use, on the same inputs: the
step computes the same bits. Copies and elementwise operators may run again, products may not.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, keep the activations of some
layers and compute the others again. Here the choice is made tensor by tensor, by what each saves
for what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfplus_export.passes.ir.aliases import overwritten
from tfplus_export.passes.memory import peak
from tfplus_export.passes.rematerialization.liveness import Liveness
from tfplus_export.passes.rematerialization.plans import Plan, moved_bytes, rematerialized

# Of what lives at most, in one stage.
_STAGE = 0.97
# Beyond, a plan would take longer than it is worth.
_MOST_STAGES = 100
_MOST_ROUNDS = 200
# Of what a step moves. Less memory is faster memory: up to here steps took the same time or less.
_FREE_SHARE = 0.1


def reduced(plan: Plan, limit_bytes: int | None, runtimes: Sequence[str]) -> Plan:
    """Repeats operators where that is nearly free, and beyond until a step's tensors fit.

    Args:
      plan: that repeats nothing.
      limit_bytes: what the tensors may take; None for no limit.
      runtimes: that are to run it.

    Returns:
      Of the plans whose rematerialization is nearly free, the one that takes least; the first plan
      that fits where that one does not; where none fits, the one that takes least.
    """
    free_bytes = int(_FREE_SHARE * moved_bytes(plan.graph, plan.graph.operators))
    best, best_bytes = plan, peak.most_bytes(plan.graph, runtimes)
    liveness = Liveness(plan)
    for _ in range(_MOST_STAGES):
        # The highest places first: what is repeated for them often lowers others.
        most = int(liveness.live.max())
        liveness = _reduced_to(liveness, int(most * _STAGE))
        plan = liveness.plan
        fits = limit_bytes is None or best_bytes <= limit_bytes
        if fits and plan.again_bytes > free_bytes:
            break
        total = peak.most_bytes(plan.graph, runtimes)
        if total < best_bytes:
            best, best_bytes = plan, total
        if int(liveness.live.max()) == most:
            break
    return best


def _reduced_to(liveness: Liveness, target: int) -> Liveness:
    """Repeats operators until no more than so many bytes live at once, or nothing more helps."""
    refused: set[int] = set()
    most = overwritten(liveness.plan.graph)
    for _ in range(_MOST_ROUNDS):
        chosen = liveness.best(target, refused)
        if not chosen:
            break
        plan = liveness.plan
        # From the last place on, so that the places in front of it stay what they are.
        for choice in sorted(chosen, key=lambda c: -c.place):
            less = rematerialized(plan, choice)
            if overwritten(less.graph) > most:
                refused.add(plan.origins[choice.tensor])
            else:
                plan = less
        liveness = Liveness(plan)
    return liveness

"""What a node refuses before it counts, buffers or averages anything of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from tfplus.gossip.messages import RoundContribution

MAX_DEGREE = 100_000
# Far above any data set, and far below where w * x leaves float64.
MAX_SLICE_WEIGHT = 1e15

Schema = Mapping[str, tuple[tuple[int, ...], str]]


def why_refused(
    contribution: RoundContribution,
    *,
    neighbours: Collection[str],
    rounds: int,
    schema: Schema,
) -> str | None:
    """Says why a contribution must not be used.

    Args:
      contribution: what came.
      neighbours: names of the peers that this node takes contributions of.
      rounds: rounds of the run.
      schema: the node's own slices, name → (shape, dtype); slices it lacks are not looked at
        beyond being finite.

    Returns:
      What was expected and what came; None if all is well.
    """
    peer = contribution.peer
    if peer not in neighbours:
        return f"'{peer}' is not a neighbour here: expected one of {sorted(neighbours)[:8]}"
    if not 1 <= contribution.round <= rounds:
        return f"expected a round from 1 to {rounds}, got {contribution.round}"
    if not 1 <= contribution.degree <= MAX_DEGREE:
        return f"expected a degree from 1 to {MAX_DEGREE}, got {contribution.degree}"
    if contribution.incarnation < 0:
        return f"expected an incarnation >= 0, got {contribution.incarnation}"
    return _why_tensors(contribution, schema)


def _why_tensors(contribution: RoundContribution, schema: Schema) -> str | None:
    tensors, weights = contribution.tensors, contribution.slice_weights
    if set(tensors) != set(weights):
        odd = sorted(set(tensors) ^ set(weights))
        return f"expected one slice weight for every slice, not so for {odd[:4]}"
    if contribution.schema_hash and contribution.schema_hash != tensors.schema_hash():
        return "the slices are not those that the schema hash was made of"
    for name, weight in weights.items():
        if not (math.isfinite(weight) and 0 <= weight <= MAX_SLICE_WEIGHT):
            return f"slice '{name}': expected a weight from 0 to {MAX_SLICE_WEIGHT:g}, got {weight}"
    for name, (shape, dtype) in tensors.layouts().items():
        if name in schema and schema[name] != (shape, dtype):
            wanted_shape, wanted = schema[name]
            return (
                f"slice '{name}': expected {wanted}{list(wanted_shape)}, got {dtype}{list(shape)}"
            )
    broken = tensors.not_finite()
    if broken:
        return f"slice '{broken[0]}': expected finite values, got NaN or infinity"
    return None

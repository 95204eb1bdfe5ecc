"""The whole model of a plan, put together from what devices made of their parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfplus.decoupling.plan import Plan
from tfplus.errors import PlanError, TensorError
from tfplus.tensors.slices import Contribution, Tensor, Tensors, average, check_against

# The statistics of a batch normalization, whose variances cannot be averaged alone.
_MEAN, _VARIANCE = "moving_mean", "moving_variance"


@dataclass(frozen=True)
class Part:
    """What one device brings.

    Attributes:
      name: of the device or the file, for messages.
      tensors: slice name → array; other tensors, such as an optimizer's state, are passed over.
      weight: of all its slices in the average, such as the number of its samples.
      frozen: slices that it holds as the plan has them, since they did not train.
    """

    name: str
    tensors: Tensors
    weight: float = 1.0
    frozen: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Recomposed:
    """The whole model.

    Attributes:
      weights: slice name → array, every slice of the plan.
      holders: class → names of the parts that hold its branch.
      kept: slices that trained nowhere, so that they are those of the plan.
    """

    weights: dict[str, Tensor]
    holders: Mapping[int, tuple[str, ...]]
    kept: tuple[str, ...]


def recompose(plan: Plan, parts: Sequence[Part], *, whole: bool = True) -> Recomposed:
    """Averages every slice over the parts that hold it.

    The variance of a batch normalization is that of all samples together: the mean of E[x²] less
    the square of the mean of E[x].

    Args:
      plan: what the parts were exported from.
      parts: of devices; at least one.
      whole: whether each class must be held by somebody; otherwise the branch of one that nobody
        holds is the plan's.

    Raises:
      PlanError: a class is held by nobody, or a part has nothing of the plan or only pieces of a
        branch.
      TensorError: a slice has another shape or dtype than in the plan, or is not finite.
    """
    expected = {n: (tuple(t.shape), t.dtype.name) for n, t in plan.weights.items()}
    contributions: list[Contribution] = []
    holders: dict[int, tuple[str, ...]] = dict.fromkeys(plan.classes, ())
    for part in parts:
        held = {n: t for n, t in part.tensors.items() if n in expected}
        if not held:
            raise PlanError(
                f"{part.name}: none of its {len(part.tensors)} tensors is a slice of the plan: "
                "expected a sub-model that was exported from it"
            )
        try:
            check_against(held, {n: expected[n] for n in held})
        except TensorError as error:
            raise TensorError(f"{part.name}: {error}") from None
        for label in plan.classes:
            slices = plan.slices_of(label)
            lacking = [n for n in slices if n not in held and n not in part.frozen]
            if not lacking:
                holders[label] += (part.name,)
            elif len(lacking) < len(slices):
                raise PlanError(
                    f"{part.name}: holds a part of the branch of class {label} but not "
                    f"'{lacking[0]}': expected whole branches"
                )
        contributions.append(Contribution(held, dict.fromkeys(held, part.weight)))
    nobody = [label for label, names in holders.items() if not names]
    if nobody and whole:
        raise PlanError(
            f"classes {nobody} are held by nobody: expected a device or a file for each of the "
            f"plan's classes {list(plan.classes)}; add one that holds them"
        )
    averaged = average(contributions)
    averaged |= _variances(averaged, contributions)
    weights = {n: averaged.get(n, value) for n, value in plan.weights.items()}
    return Recomposed(weights, holders, tuple(n for n in plan.weights if n not in averaged))


def _variances(averaged: Tensors, contributions: Sequence[Contribution]) -> dict[str, Tensor]:
    """E[x²] − E[x]², summed as the variances within devices and those of their means."""
    found: dict[str, Tensor] = {}
    for name, value in averaged.items():
        layer, _, tensor = name.rpartition("/")
        mean_name = f"{layer}/{_MEAN}"
        if tensor != _VARIANCE or mean_name not in averaged:
            continue
        held = [c for c in contributions if name in c.tensors and mean_name in c.tensors]
        shares = np.asarray([c.weights[name] for c in held], np.float64)
        shares = shares / shares.sum() if shares.any() else np.full(len(held), 1 / len(held))
        means = np.stack([c.tensors[mean_name] for c in held]).astype(np.float64)
        within = np.stack([c.tensors[name] for c in held]).astype(np.float64)
        # Differences first: of equal devices nothing is left, to the last bit.
        centre = means[0] + np.tensordot(shares, means - means[0], 1)
        inner = within[0] + np.tensordot(shares, within - within[0], 1)
        total = inner + np.tensordot(shares, (means - centre) ** 2, 1)
        found[name] = total.astype(value.dtype)
    return found

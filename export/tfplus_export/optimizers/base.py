"""What an optimizer is to the exporter, and how the variables that it keeps are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import keras
import numpy as np

from tfplus.model_file import state_ranges
from tfplus.tensors.slices import OPTIMIZER
from tfplus_export.tf_types import Tensor

LEARNING_RATE = f"{OPTIMIZER}/{state_ranges.LEARNING_RATE}"

Variables = Mapping[str, Any]
NO_VARIABLES: Variables = MappingProxyType({})


class Optimizer(Protocol):
    """How a step changes the weights, with the update of a Keras optimizer.

    Hyper-parameters are constants of the exported step, but for the learning rate: a variable of
    it, [1], so that it can change on the device.
    """

    @property
    def learning_rate(self) -> float:
        """Initial learning rate."""
        ...

    def describe(self) -> dict[str, Any]:
        """Name and hyper-parameters, for the manifest."""
        ...

    def state(self, weights: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """Initial state by name: the learning rate, [1], and what is kept for each weight.

        Args:
          weights: name of each trainable weight → shape.
        """
        ...

    def factor(self, state: Mapping[str, Tensor]) -> Tensor | None:
        """What `apply` wants gradients to be multiplied by, [1]; None for nothing.

        An update that is linear in the gradient takes the learning rate this way: multiplying the
        gradient of the loss by it spares a pass over every weight.

        Args:
          state: as `state` names it.
        """
        ...

    def apply(
        self,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One update.

        Args:
          weights: name → value.
          gradients: name → gradient times `factor`, for a subset of the weights.
          state: as `state` names it.

        Returns:
          The weights and the state that change, by name.
        """
        ...

    def keras(
        self, variables: Variables = NO_VARIABLES, **around: Any
    ) -> keras.optimizers.Optimizer:
        """The same optimizer in Keras, for the comparison at export.

        Args:
          variables: name → Keras variable, for what depends on the variable.
          around: further arguments of the Keras optimizer, such as `clipnorm`.
        """
        ...

    def keras_state(self, optimizer: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
        """The Keras optimizer's state under the names that the exported model uses.

        Args:
          optimizer: made by `keras` and built.
          names: of the variables that it was built for, in their order.
        """
        ...

    def second_moments(self) -> Mapping[str, str]:
        """The means of squares that an update divides by; empty for an optimizer without any.

        Returns:
          Kind of the slot, as in `slot` → attribute of the Keras optimizer that lists them.
        """
        ...


def slot(kind: str, name: str) -> str:
    """Names what an optimizer keeps for a weight: `optimizer/<kind>/<weight>`.

    Args:
      kind: of `state_ranges.KINDS`, which says what a device may set it to.
      name: of the weight.
    """
    return f"{OPTIMIZER}/{kind}/{name}"


def zeros(kind: str, weights: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A slot of zeros for each weight."""
    return {slot(kind, name): np.zeros(shape, np.float32) for name, shape in weights.items()}


def scalar(value: float) -> np.ndarray:
    """A state variable of one element: scalars do not survive a step on XNNPACK."""
    return np.array([value], np.float32)


def read_slots(kind: str, names: Sequence[str], variables: Iterable[Any]) -> dict[str, np.ndarray]:
    """The values that a Keras optimizer keeps for each variable, by slot name."""
    pairs = zip(names, variables, strict=True)
    return {slot(kind, name): np.array(variable.numpy()) for name, variable in pairs}


def read_second_moments(
    rule: Optimizer, optimizer: Any, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """The second moments of a Keras optimizer, by slot name."""
    found: dict[str, np.ndarray] = {}
    for kind, attribute in rule.second_moments().items():
        found |= read_slots(kind, names, getattr(optimizer, attribute))
    return found


def warm_second_moments(rule: Optimizer, optimizer: Any, sizes: Sequence[float]) -> None:
    """Puts a Keras optimizer into the state that some training would leave it in.

    Second moments become those of gradients of the given sizes, where a fresh optimizer has zeros.
    A step that starts from zeros divides each gradient by itself: what is left is its sign, and of
    a gradient that is all rounding noise, noise as large as any update.

    Args:
      rule: the optimizer.
      optimizer: made by `rule.keras` and built.
      sizes: of each variable's gradient, root mean square, in the variables' order.
    """
    for attribute in rule.second_moments().values():
        for variable, size in zip(getattr(optimizer, attribute), sizes, strict=True):
            variable.assign(np.full(variable.shape, size * size, np.float32))

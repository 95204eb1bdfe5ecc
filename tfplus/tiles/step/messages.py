"""What devices send each other during a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# By name of a weight.
Gradients: TypeAlias = Mapping[str, Floats]

Kind = Literal["halo", "output", "delta", "gradient", "sum", "moments", "slopes"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Key(NamedTuple):
    """What a message is; one step has at most one of each key at a device.

    Attributes:
      kind: `halo`, a piece of a group's input; `output`, a tile of the last group's output, for the
        tail; `delta`, its gradient, from the tail; `gradient`, a piece of the gradient of a group's
        input, for the owner of those pixels; `sum`, a part of the sum over all devices; `moments`,
        a device's part of the statistics that a batch normalization takes, and `slopes`, of their
        gradient.
      number: of a `halo` and a `gradient` what is read, as `Tiling.reads` numbers it: the group,
        where each reads one map; else the group; of a `sum` the round of the ring, counted on
        from part to part.
      sender: number of the device that sends it.
    """

    kind: Kind
    number: int
    sender: int


class Message(NamedTuple):
    """One message.

    Attributes:
      step: number of the step that it belongs to.
      key: what it is.
      values: float32 [batch, rows, columns, channels]; [n] of a `sum`, and of statistics.
    """

    step: int
    key: Key
    values: Floats


class Send(NamedTuple):
    """A message on its way.

    Attributes:
      to: number of the device that it is for.
      message: what it gets.
    """

    to: int
    message: Message

"""Names of the operators of an exported file: `<phase>/<layer>/<what TensorFlow calls it>`.

The exporter writes them, and whatever reads a graph tells by them which Keras layer an operator is
for, and in which phase of the step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

Phase = Literal["forward", "loss", "backward", "update"]
PHASES: tuple[Phase, ...] = get_args(Phase)

# Between the names of a layer and of the layer that it is part of, where a scope has no slash.
_WITHIN = ">"
_NOT_IN_SCOPES = re.compile(r"[^A-Za-z0-9_.\\>-]")
_NAMED = re.compile(rf"(?:^|[;/])({'|'.join(PHASES)})/([A-Za-z0-9_.\\>-]+)/")


@dataclass(frozen=True)
class Owner:
    """What an operator is for.

    Attributes:
      phase: of the step.
      layer: the Keras layer, behind the names of the layers that it is part of: `attention/query`.
    """

    phase: Phase
    layer: str


def scope_of(phase: Phase, layer: str) -> str:
    """The scope of a layer in a phase; characters that TensorFlow takes in no scope become `_`."""
    return f"{phase}/{_NOT_IN_SCOPES.sub('_', layer.replace('/', _WITHIN))}"


def owner_of(name: str) -> Owner | None:
    """Reads the name of an operator's output; None where it names no layer.

    Args:
      name: as it stands in the file. The converter joins the names of what it merged with `;`: the
        first is that of the operation that is left.
    """
    found = _NAMED.search(name)
    if found is None:
        return None
    phase: Phase = next(p for p in PHASES if p == found[1])
    return Owner(phase, found[2].replace(_WITHIN, "/"))


def owners_of(graph: Any) -> list[Owner | None]:
    """What each operator of a subgraph is for, by its place.

    An operator that the converter gave a name of its own, such as one that makes an output, goes to
    the layer that its last input comes from; None where there is none.

    Args:
      graph: a flatbuffer's `SubGraph`.
    """
    found: list[Owner | None] = []
    makers: dict[int, Owner | None] = {}
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        outputs = [int(operator.Outputs(k)) for k in range(operator.OutputsLength())]
        names = (graph.Tensors(k).Name().decode(errors="replace") for k in outputs)
        named = (owner_of(name) for name in names)
        owner = next((o for o in named if o is not None), None)
        if owner is None:
            inputs = reversed([int(operator.Inputs(k)) for k in range(operator.InputsLength())])
            owner = next((makers[k] for k in inputs if makers.get(k) is not None), None)
        found.append(owner)
        makers |= dict.fromkeys(outputs, owner)
    return found

"""Orders in which TFLite would write over data that is still read.

Without XNNPACK, TFLite lets a RESHAPE share its input's place, and an elementwise operator write
over an input that nothing reads later. It asks that of the reshaped tensor alone: where its last
use comes before that of the tensor it was made of, the data of both may be lost. Converters hardly
ever write such an order; a step that is ordered anew, or computes a shape again, may have it.
"""

from __future__ import annotations

from tfplus.tflite.operator_kinds import ELEMENTWISE, RESHAPING
from tfplus_export.passes.ir.step_graph import StepGraph


def overwritten(graph: StepGraph) -> int:
    """How often TFLite's own kernels may write over what the step still reads."""
    owner: dict[int, int] = {}
    last: dict[int, int] = {}
    last_of_owner: dict[int, int] = {}
    for place, operator in enumerate(graph.operators):
        if operator.name in RESHAPING:
            source = operator.reads[0]
            owner[operator.writes[0]] = owner.get(source, source)
        for t in operator.reads:
            last[t] = last_of_owner[owner.get(t, t)] = place
    for t in graph.kept:
        last[t] = last_of_owner[owner.get(t, t)] = len(graph.operators)
    return sum(
        t in owner
        and last[t] == place < last_of_owner[owner[t]]
        and graph.tensors[t].size_bytes == graph.tensors[operator.writes[0]].size_bytes
        for place, operator in enumerate(graph.operators)
        if operator.name in ELEMENTWISE
        for t in operator.reads
    )

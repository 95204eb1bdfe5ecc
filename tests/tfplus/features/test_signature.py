"""What made features: whatever they depend on changes the hash."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tfplus.features.signature import maker
from tfplus.model_file.companion_graphs import FeatureGraph
from tfplus.model_file.manifest import TensorInfo
from tfplus.model_file.preprocessing import Preprocessing

GRAPH = FeatureGraph(
    "conv3", "x", TensorInfo((8, 8, 1), "float32"), TensorInfo((4, 4, 6), "float32"), 16, 900, "ab"
)


@pytest.mark.parametrize(
    ("graph", "preprocessing"),
    [
        (replace(GRAPH, sha256="ac"), Preprocessing()),
        (replace(GRAPH, layer="conv4"), Preprocessing()),
        (GRAPH, Preprocessing(scale=1 / 16)),
        (GRAPH, Preprocessing(offset=1.0)),
        (GRAPH, Preprocessing(floats=True)),
    ],
)
def test_other_layers_or_another_scale_are_another_maker(
    graph: FeatureGraph, preprocessing: Preprocessing
) -> None:
    assert maker(graph, preprocessing) != maker(GRAPH, Preprocessing())
    assert maker(graph, preprocessing) == maker(graph, preprocessing)

"""What agents are told of the slices that their neighbours hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tfplus.fleet import common_slices
from tfplus.fleet.common_slices import CommonSlices
from tfplus.fleet.gossip_run import GossipSession
from tfplus.fleet.run_options import RunOptions
from tfplus.model_file.artifact import Artifact


def test_what_both_hold_is_told_where_a_neighbour_lacks_something(
    toy: Artifact, make_artifact: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = [v for v in toy.manifest.variables if v.role == "weight"]
    less = tuple(v for v in toy.manifest.variables if v is not weights[0])
    small = make_artifact("small.tflite", variables=less)
    both = sorted(v.name for v in weights[1:])
    common = CommonSlices()
    common.add("a", toy.path, toy.sha256)
    common.add("b", small.path, small.sha256)
    # It has kept another model than that of the file.
    common.add("c", small.path, toy.sha256)
    assert common.to_send("a", "b") == both
    assert common.to_send("b", "a") == [], "it holds all"
    assert common.to_send("a", "c") == common.to_send("c", "b") == [], "nobody knows"

    of = GossipSession(["127.0.0.1:1"], RunOptions("r", 2))
    of.addresses = {name: f"127.0.0.1:{port}" for port, name in enumerate("abc", 1)}
    of._slices = common
    assert [list(n.slices) for n in of.plan("a").neighbours if n.name == "b"] == [both]
    assert not any(n.slices for n in of.plan("b").neighbours)
    monkeypatch.setattr(common_slices, "_MOST_CHARS", 1)
    assert common.to_send("a", "b") == [], "names that are longer than they are worth"

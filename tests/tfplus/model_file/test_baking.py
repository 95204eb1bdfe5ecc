"""How far a frozen model is off, and where constants are cut out of a graph and put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tfplus.errors import ArtifactError
from tfplus.model_file import baking
from tfplus.model_file.baking import Inference
from tfplus.model_file.companion_graphs import InferenceConstant


class Interpreter:
    """Returns what it was made of, whatever it is given."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self._outputs = {n: np.array(value, np.float32) for n, value in outputs.items()}

    def get_signature_runner(self, name: str) -> Any:
        return lambda **inputs: self._outputs


@pytest.mark.parametrize(
    ("found", "wanted", "difference"),
    [
        ({"a": [1.0, -4.0]}, {"a": [1.0, -4.0]}, 0.0),
        ({"a": [1.0, -3.0]}, {"a": [1.0, -4.0]}, 0.25),
        ({"a": [1.0], "b": [2.0]}, {"a": [1.0], "b": [4.0]}, 0.5),
        ({"a": [3.0], "b": [4.0]}, {"a": [4.0], "b": [4.0]}, 0.25),
        ({"a": [0.5]}, {"a": [0.0]}, 0.5),
        ({"a": [np.nan], "b": [1.0]}, {"a": [1.0], "b": [1.0]}, np.inf),
        ({"a": [1.0]}, {"a": [np.nan]}, np.inf),
        ({"a": [1.0, 1.0]}, {"a": [1.0, np.inf]}, np.inf),
        ({"a": [np.inf]}, {"a": [np.inf]}, np.inf),
    ],
)
def test_the_difference_is_relative_to_the_largest_output(
    found: Any, wanted: Any, difference: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {b"frozen": found, b"training": wanted}
    monkeypatch.setattr(baking, "_interpreter", lambda content: Interpreter(outputs[content]))
    assert baking.difference(b"frozen", b"training", {}, {}) == difference


def test_a_graph_that_the_runtime_does_not_take_is_an_error_of_the_file() -> None:
    with pytest.raises(ArtifactError, match="does not take the graph"):
        baking.difference(b"no", b"flatbuffer", {}, {})


def test_constants_are_cut_out_and_their_room_is_put_back() -> None:
    places = (InferenceConstant("b", 10, (2,), (0,)), InferenceConstant("a", 3, (1,), (0,)))
    whole = bytes(range(1, 25))
    cut = baking.without_constants(Inference(whole, b"", places))
    assert cut == whole[:3] + whole[7:10] + whole[18:]
    zeros = bytearray(whole)
    zeros[3:7], zeros[10:18] = bytes(4), bytes(8)
    assert baking.with_room(cut, places) == bytes(zeros)

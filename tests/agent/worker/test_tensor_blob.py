from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from tfplus.errors import WorkerError
from tfplus_agent.worker.framing import read_message, write_message
from tfplus_agent.worker.tensor_blob import packed, unpacked

TENSORS = {
    "shared/a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "shared/turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "optimizer/step": np.array(7, np.int32),
    "shared/empty": np.zeros((0, 4), np.float32),
}


def test_tensors_come_out_of_a_message_as_they_went_in() -> None:
    layout, blob = packed(TENSORS)
    stream = io.BytesIO()
    write_message(stream, {"tensors": layout}, blob)
    stream.seek(0)
    message = read_message(stream)
    assert message is not None
    out = unpacked(message[0]["tensors"], message[1])
    assert list(out) == list(TENSORS)
    for name, tensor in TENSORS.items():
        assert out[name].dtype == tensor.dtype
        np.testing.assert_array_equal(out[name], tensor)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ([["a", "float32", [2]]], "its tensors have 8"),
        ([["a", "float32", [4]]], "beyond the end"),
        ([["a", "object", [1]]], "expected one of"),
    ],
)
def test_a_layout_that_is_not_that_of_the_blob_is_refused(layout: Any, message: str) -> None:
    with pytest.raises(WorkerError, match=message):
        unpacked(json.loads(json.dumps(layout)), memoryview(bytes(12)))

"""Every message comes back as it was sent, and a damaged one is refused, never believed."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus import errors
from tfplus.data.scaling import Scaling
from tfplus.errors import DataError, TensorError, WorkerError
from tfplus.runtime.gpu import NotTakenError
from tfplus.training.benchmark import Timings
from tfplus.training.epoch import EpochPlan, EpochResult, StepEvent
from tfplus.training.evaluation import Evaluation
from tfplus_agent.worker import protocol
from tfplus_agent.worker.framing import FramingError, read_message, write_message
from tfplus_agent.worker.messages import (
    Alive,
    Benchmark,
    Cancel,
    Done,
    Evaluate,
    Failed,
    Loaded,
    Message,
    Predict,
    Restore,
    Save,
    Variables,
    WorkerSetup,
)

TENSORS = {
    "shared/a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "random/state": np.array([7, 8], np.int32),
    "empty": np.zeros((0, 4), np.float32),
}
MESSAGES: tuple[Message, ...] = (
    WorkerSetup(Path("m"), Path("d"), None, "r", 2, True, "gpu", "float16", Scaling(1 / 255, -1)),
    WorkerSetup(Path("m"), None, Path("e"), "r", 0, False),
    EpochPlan(2**64 - 1, 1, 2, 3, 4, 5, 6, 7, 0.5),
    EpochPlan(None, 1, 2, 3, 4, 5),
    EpochPlan(1, 1, 2, 3, 4, 5, learning_rates=(0.1, 1e-9), stair=7),
    Evaluate(),
    Predict(Path("d.npz")),
    Predict(training_data=True),
    Benchmark(7),
    Timings(1, np.array([1.5, 2.0]), 0.5, 0.25),
    Save(),
    Restore(TENSORS),
    Cancel(),
    Loaded(5, "cpu", "no GPU", ("too large", "too small"), 2.3),
    Loaded(0, "gpu", "", (), None),
    EpochResult(48, 32, {"loss": 1.5, "mae": float("inf")}, np.array([1.5, 2.0]), 0.5),
    Evaluation(50, 40, {"accuracy": 20.0}),
    Variables(TENSORS),
    Done(),
    Alive(),
    StepEvent(3, 9, 1, 0.5, 2.0, {"accuracy": 0.25}),
    Failed("DataError", "no data"),
)


def plain(value: Any) -> Any:
    """A message as what `==` compares: arrays as dtype, shape and bytes."""
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.shape, value.tobytes()
    if isinstance(value, Mapping):
        return {name: plain(v) for name, v in value.items()}
    return value


def content(message: Any) -> dict[str, Any]:
    return {f.name: plain(getattr(message, f.name)) for f in dataclasses.fields(message)}


def sent(message: Message) -> tuple[dict[str, Any], bytes]:
    """Header and blob of a message."""
    stream = io.BytesIO()
    protocol.send(stream, message)
    stream.seek(0)
    found = read_message(stream)
    assert found is not None
    return found[0], bytes(found[1])


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_it_comes_back_as_it_was_sent(message: Message) -> None:
    stream = io.BytesIO()
    protocol.send(stream, message)
    stream.seek(0)
    got = protocol.receive(stream)
    assert type(got) is type(message)
    assert content(got) == content(message)
    assert protocol.receive(stream) is None


def test_every_message_is_tried_here() -> None:
    assert {type(m) for m in MESSAGES} == set(typing.get_args(Message))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(data=st.data(), message=st.sampled_from(MESSAGES))
def test_a_damaged_message_is_refused_or_still_of_its_types(
    data: st.DataObject, message: Message
) -> None:
    header, blob = sent(message)
    field = data.draw(st.sampled_from(sorted(header)))
    match data.draw(st.sampled_from(["value", "gone", "more", "blob"])):
        case "value":
            header[field] = data.draw(JSON)
        case "gone":
            del header[field]
        case "more":
            header[f"{field}_"] = data.draw(JSON)
        case _:
            blob = data.draw(st.binary(max_size=80))
    try:
        got = protocol.decoded(header, memoryview(blob))
    except FramingError:
        return
    # What is taken can be sent again, and is the same then.
    again, bytes_again = sent(got)
    assert content(protocol.decoded(again, memoryview(bytes_again))) == content(got)


@given(data=st.data(), message=st.sampled_from(MESSAGES))
def test_a_message_with_other_bytes_never_ends_in_another_error(
    data: st.DataObject, message: Message
) -> None:
    stream = io.BytesIO()
    protocol.send(stream, message)
    raw = bytearray(stream.getvalue())
    at = data.draw(st.integers(12, max(12, len(raw) - 1)))
    raw[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FramingError):
        protocol.receive(io.BytesIO(bytes(raw[: data.draw(st.integers(0, len(raw)))])))


@pytest.mark.parametrize(
    "header",
    [
        {"kind": "shutdown"},
        {},
        {"kind": "failed", "error": "BaseException", "message": "", "last": False},
        {"kind": "failed", "error": "SystemExit", "message": "", "last": False},
        {"kind": "restore", "tensors": [["a", "float64", [1]]]},
        {"kind": "restore", "tensors": [["a", "float32", [-1]]]},
        {"kind": "restore", "tensors": [["a", "float32"]]},
        {"kind": "restore", "tensors": 3},
        {"kind": "save", "tensors": []},
    ],
)
def test_what_is_no_message_is_refused(header: dict[str, Any]) -> None:
    stream = io.BytesIO()
    write_message(stream, header)
    stream.seek(0)
    with pytest.raises(FramingError):
        protocol.receive(stream)


def test_bytes_that_a_message_does_not_take_are_refused() -> None:
    with pytest.raises(FramingError, match="'save': did not expect 3 bytes"):
        protocol.decoded({"kind": "save"}, memoryview(b"abc"))


def test_an_error_is_told_as_the_nearest_class_that_the_daemon_knows() -> None:
    assert protocol.failed(TensorError("a")) == Failed("TensorError", "a")
    assert protocol.failed(NotTakenError("b")) == Failed("WorkerError", "b")
    assert protocol.failed(errors.RemoteError("c")) == Failed("WorkerError", "c")
    assert protocol.ERRORS["DataError"] is DataError
    assert all(issubclass(kind, errors.TfplusError) for kind in protocol.ERRORS.values())
    assert WorkerError.__name__ in protocol.ERRORS

"""Devices on loopback: streams between them, what is refused, one that goes away."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Iterator

import numpy as np
import pytest

from tests.tfplus.tiles.model import Model, files
from tfplus.errors import RemoteError, TensorError, TfplusError, UsageError
from tfplus.fleet.clients.tiles_client import TilesClient
from tfplus.fleet.tiles import trace as tile_trace
from tfplus.fleet.tiles import training as tile_training
from tfplus.fleet.tiles.training import Samples
from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.tiles.process.serve import Server
from tfplus.tiles.step import assignment
from tfplus.tiles.step.messages import Key, Message
from tfplus.tiles.transport import framing


class NotPermittedError(TfplusError):
    status = "PERMISSION_DENIED"


@contextlib.contextmanager
def devices(count: int) -> Iterator[tuple[list[Server], list[TilesClient]]]:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server("127.0.0.1:0", Model)) for _ in range(count)]
        yield servers, [stack.enter_context(TilesClient(s.address)) for s in servers]


def trained(servers: list[Server], clients: list[TilesClient], dies_behind: int = -1):
    x = np.random.default_rng(4).standard_normal((6, 4, 7, 2)).astype(np.float32)
    samples = Samples(lambda rows: x[rows], np.zeros(6, np.int32), "y")

    def stepped(step: tile_training.Step) -> None:
        if step.number == dies_behind:
            servers[1].stop()

    return tile_training.train(
        clients, files(len(clients)), samples, epochs=1, seed=0, replan=files,
        on_step=stepped, on_loss=lambda lost: None,
    )  # fmt: skip


def test_devices_train_over_loopback_and_one_may_go() -> None:
    with devices(1) as given:
        wanted = trained(*given)
    with devices(3) as given:
        whole = trained(*given)
    with devices(3) as given:
        disturbed = trained(*given, dies_behind=1)
    assert not whole.lost
    assert [lost.left for lost in disturbed.lost] == [2]
    assert whole.steps[0].sent_bytes > 0
    for found in (whole, disturbed):
        assert found.equal
        assert len(found.steps) == 3
        for name, value in wanted.state.items():
            assert np.allclose(found.state[name], value, rtol=1e-5, atol=1e-6)


def test_what_a_device_refuses() -> None:
    given = files(2)
    with devices(1) as (servers, (client,)):
        told = given.assignment("run", 0, [servers[0].address] * 2, 0)
        with pytest.raises(RemoteError, match="no such run here"):
            client.commit("run", 1)
        client.load(told, b"x")
        with pytest.raises(RemoteError, match="step 1 was not computed here"):
            client.commit("run", 1)
        with pytest.raises(RemoteError, match="targets of a step"):
            client.step("run", 1, {"x": np.zeros((2, 4, 5, 2), np.float32)})
        labels = np.zeros(2, np.int32)
        with pytest.raises(RemoteError, match="the samples of a tile: expected float32"):
            client.step("run", 2, {"x": np.zeros((2, 4, 2, 2), np.float32), "y": labels})
        with pytest.raises(RemoteError, match="expected a number above 2"):
            client.step("run", 2, {"x": np.zeros((2, 4, 5, 2), np.float32), "y": labels})


def test_who_may_not_call_is_told_so() -> None:
    def check(method: str, auth: object) -> None:
        if not method.endswith("/Deliver"):
            raise NotPermittedError(f"may not call {method.rpartition('/')[2]}")

    with Server("127.0.0.1:0", Model, check=check) as server, TilesClient(server.address) as client:
        with pytest.raises(RemoteError, match="may not call Load"):
            client.load(files(1).assignment("run", 0, ["a"], 0), b"x")
        with pytest.raises(RemoteError, match="may not call GetState"):
            client.state("run")


def test_plaintext_does_not_leave_this_machine() -> None:
    with pytest.raises(UsageError, match="loopback"):
        Server("0.0.0.0:0", Model)


def test_a_stream_holds_messages_and_what_is_out_of_order_is_refused() -> None:
    rng = np.random.default_rng(0)
    sent = [
        Message(3, Key("halo", 1, 2), rng.standard_normal((2, 3, 1, 4)).astype(np.float32)),
        Message(4, Key("sum", 0, 1), rng.standard_normal(400_000).astype(np.float32)),
        Message(4, Key("sum", 1, 1), np.zeros(0, np.float32)),
    ]
    parts = [part for message in sent for part in framing.parts_of("run", message)]
    for (run_id, found), wanted in zip(framing.messages_of(iter(parts)), sent, strict=True):
        assert run_id == "run"
        assert found[:2] == wanted[:2]
        assert np.array_equal(found.values, wanted.values)
    # A small message is one part; of a large one the first chunk goes with its header.
    assert [part.HasField("header") for part in parts] == [True, True, False, True]
    header = pb.DeliverPart(header=pb.DeliverHeader(kind="halo"))
    for wrong, reason in (
        (parts[2:], "expected a header"),
        (parts[:2], "ended within a message"),
        ([parts[1], parts[0]], "expected tensors and an end"),
        ([parts[1], pb.DeliverPart()], "expected tensors and an end"),
        ([pb.DeliverPart(header=pb.DeliverHeader(kind="rumour"))], "'rumour' is not known"),
        ([header, pb.DeliverPart(end=True)], "expected a header first"),
    ):
        with pytest.raises(TensorError, match=reason):
            list(framing.messages_of(iter(wrong)))


def test_a_plan_survives_json_and_a_wrong_one_is_refused() -> None:
    given = files(2)
    told = given.assignment("run", 1, ["a:1", "b:2"], 0)
    read = assignment.decoded(told.encoded())
    assert read == told
    other = dataclasses.replace(given.tiling, keep=True, free=True)
    changed = dataclasses.replace(given, tiling=other).assignment("run", 1, ["a:1", "b:2"], 0)
    assert assignment.decoded(changed.encoded()) == changed != told
    text = told.encoded()
    for wrong, right, reason in (
        ('"device": 1', '"device": 2', "at most 1"),
        ('"stop": 1', '"stop": 2', "follow each other"),
        ('["a:1", "b:2"]', '["a:1"]', "2 tiles, but 1 devices"),
        ('"dtype": "int32"', '"dtype": "int64"', "dtype"),
        ('"columns": [1.0, 1.0]', '"columns": [1.0, 0.0]', "cannot cut"),
    ):
        assert wrong in text
        with pytest.raises(UsageError, match=reason):
            assignment.decoded(text.replace(wrong, right, 1))
    with pytest.raises(UsageError, match="plan of tiles"):
        assignment.decoded("{")


def test_a_trace_has_what_devices_did() -> None:
    with devices(2) as given:
        outcome = trained(*given)
    events = json.loads(tile_trace.trace(outcome.steps))["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    first = outcome.steps[0]
    for pid in (1, 2):
        own = [
            e for e in spans if e["pid"] == pid and e["ts"] < (first.start_s + first.seconds) * 1e6
        ]
        names = [e["name"] for e in own if e["cat"] == "compute"]
        tail = ["tail"] if pid == 1 else []
        assert names == ["forward 1", "forward 2", *tail, "backward 2", "backward 1"]
        # One after the other, within the step.
        for a, b in itertools.pairwise(own):
            assert a["ts"] + a["dur"] <= b["ts"] + 1
    # A phase that is reported is that of the device that took longest for it.
    for step in outcome.steps:
        within = (step.start_s * 1e6 - 1, (step.start_s + step.seconds) * 1e6)
        sums = [[0.0, 0.0, 0.0] for _ in range(2)]
        for e in spans:
            if e["pid"] and within[0] <= e["ts"] < within[1]:
                sums[e["pid"] - 1][e["tid"]] += e["dur"] / 1e6
        wanted = (step.compute_s, step.halo_s, step.reduce_s)
        assert [max(lane) for lane in zip(*sums, strict=True)] == pytest.approx(wanted, abs=1e-6)
    assert [e["name"] for e in spans if e["pid"] == 0] == ["step 1", "step 2", "step 3"]

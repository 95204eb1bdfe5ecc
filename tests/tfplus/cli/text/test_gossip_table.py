"""What a codec came to stands beside what was sent, in the table and behind it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tfplus.cli.text.gossip import GossipTable, compared
from tfplus.fleet.updates import from_event
from tfplus.proto.v1 import agent_pb2 as pb


def shown(*events: pb.GossipEvent) -> tuple[str, Any]:
    console = Console(file=io.StringIO(), width=120)
    table = GossipTable(["a"], 2, console)
    for event in events:
        table.show(from_event("a", event))
    with console.capture() as captured:
        console.print(table._table())
    return captured.get(), table.totals["a"]


def test_float32_stands_beside_what_a_codec_sent() -> None:
    done = pb.GossipEvent(
        state=pb.GossipEvent.ROUND_DONE,
        round=1,
        bytes_sent=250_000,
        bytes_sent_as_float32=1_000_000,
    )
    text, totals = shown(done, done)
    assert (totals.sent_bytes, totals.sent_as_float32_bytes) == (500_000, 2_000_000)
    assert text.index("sent") < text.index("as float32") < text.index("received")
    assert text.index("500.0 kB") < text.index("2.0 MB")


@pytest.mark.parametrize("said", [0, 250_000])
def test_without_a_codec_there_is_no_such_column(said: int) -> None:
    """An agent that knows of no codec says nothing of it."""
    text, totals = shown(
        pb.GossipEvent(
            state=pb.GossipEvent.FINISHED, round=1, bytes_sent=250_000, bytes_sent_as_float32=said
        )
    )
    assert totals.sent_as_float32_bytes == 250_000
    assert "as float32" not in text


def test_a_run_is_compared_in_a_line() -> None:
    assert compared("int8", 250_000, 1_000_000) == (
        "sent between agents: 250.0 kB with int8; float32 would have been 1.0 MB, 25% of it"
    )
    assert compared("int8", 0, 0).endswith("would have been 0.0 kB")


def test_members_and_what_became_of_them_are_shown() -> None:
    states = {"b": pb.GossipMember.ALIVE, "c": pb.GossipMember.DEAD, "d": pb.GossipMember.SUSPECT}
    done = pb.GossipEvent(
        state=pb.GossipEvent.ROUND_DONE,
        round=1,
        members=[pb.GossipMember(name=n, state=s) for n, s in states.items()],
        member_news=["'c' is held for dead", "linked with b, d\x1b[2J"],
    )
    console = Console(file=io.StringIO(), width=160)
    table = GossipTable(["a"], 2, console)
    table.show(from_event("a", done))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].endswith(", dead: c; suspect: d")
    assert lines[1:] == [
        "a: 'c' is held for dead",
        "a: linked with b, d\N{REPLACEMENT CHARACTER}[2J",
    ]
    with console.capture() as captured:
        console.print(table._table())
    assert "2 of 4 there; dead: c; suspect: d" in captured.get()


def test_a_run_whose_neighbours_stay_says_nothing_of_members() -> None:
    text, _ = shown(pb.GossipEvent(state=pb.GossipEvent.ROUND_DONE, round=1))
    assert "members" not in text

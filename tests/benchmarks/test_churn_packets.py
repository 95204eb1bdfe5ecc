"""Which packets are lost: the program, run by an interpreter of classic BPF."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable

import pytest
from churn.packets import bytecode

OWN, NEAR, FAR = "198.18.0.1", "198.18.0.10", "198.18.0.11"
PASS, DROP = 0, 2
ARP, IPV4 = 0x0806, 0x0800


def frame(to: str, kind: int = IPV4) -> bytes:
    """An Ethernet frame with what the program looks at."""
    return bytes(12) + struct.pack(">H", kind) + bytes(16) + ipaddress.IPv4Address(to).packed


def ended(program: str, packet: bytes, chance: Callable[[], int]) -> int:
    """What a program returns for a packet, after the manual of bpf(4)."""
    count, *lines = program.split(",")
    assert int(count) == len(lines)
    steps = [tuple(map(int, line.split())) for line in lines]
    by_chance = 2**32 - 0x1000 + 56
    at, held = 0, 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        if code == 0x28:
            held = int.from_bytes(packet[k : k + 2], "big")
        elif code == 0x20:
            held = chance() if k == by_chance else int.from_bytes(packet[k : k + 4], "big")
        elif code == 0x15:
            at += yes if held == k else no
        elif code == 0x35:
            at += yes if held >= k else no
        else:
            assert code == 0x06
            return k


@pytest.mark.parametrize("loss", [0.0, 0.2, 0.99])
def test_a_share_is_lost_by_chance(loss: float) -> None:
    program = bytecode(OWN, (), loss)
    bound = round(loss * 2**32)
    assert ended(program, frame(NEAR), lambda: bound) == PASS
    assert ended(program, frame(NEAR), lambda: 2**32 - 1) == PASS
    if bound:
        assert ended(program, frame(NEAR), lambda: bound - 1) == DROP


def test_nothing_crosses_a_cut_and_the_others_are_reached() -> None:
    program = bytecode(OWN, (NEAR, "198.18.0.12"), 0.0)
    assert ended(program, frame(NEAR), lambda: 2**32 - 1) == DROP
    assert ended(program, frame("198.18.0.12"), lambda: 2**32 - 1) == DROP
    assert ended(program, frame(FAR), lambda: 0) == PASS


def test_the_benchmark_itself_and_other_protocols_lose_nothing() -> None:
    program = bytecode(OWN, (NEAR,), 0.5)
    assert ended(program, frame(OWN), lambda: 0) == PASS
    assert ended(program, frame(NEAR, ARP), lambda: 0) == PASS

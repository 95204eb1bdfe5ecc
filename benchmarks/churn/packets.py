"""Which packets of an agent are lost: a program for Linux's packet filter, as `tc` takes it.

Classic BPF on outgoing Ethernet frames; what it returns is an action of `tc` (direct-action).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

PASS, DROP = 0, 2
_LOAD_HALF, _LOAD_WORD = 0x28, 0x20
_IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x15, 0x35, 0x06
_ETHERTYPE_AT, _IPV4, _DESTINATION_AT = 12, 0x0800, 30
# Loads a number by chance instead of what is in the packet.
_CHANCE = (-0x1000 + 56) & 0xFFFFFFFF


def bytecode(spared: str, cut: Collection[str], loss: float) -> str:
    """Writes a program that drops packets.

    Args:
      spared: IPv4 address to which nothing is lost.
      cut: addresses to which everything is.
      loss: share that is lost to all others, 0 to below 1.
    """
    program = [
        (_LOAD_HALF, 0, 0, _ETHERTYPE_AT),
        (_IF_EQUAL, 1, 0, _IPV4),
        (_RETURN, 0, 0, PASS),
        (_LOAD_WORD, 0, 0, _DESTINATION_AT),
        (_IF_EQUAL, 0, 1, int(ipaddress.IPv4Address(spared))),
        (_RETURN, 0, 0, PASS),
    ]
    for address in cut:
        program.append((_IF_EQUAL, 0, 1, int(ipaddress.IPv4Address(address))))
        program.append((_RETURN, 0, 0, DROP))
    program += [
        (_LOAD_WORD, 0, 0, _CHANCE),
        (_IF_AT_LEAST, 0, 1, round(loss * 2**32)),
        (_RETURN, 0, 0, PASS),
        (_RETURN, 0, 0, DROP),
    ]
    return ",".join([str(len(program)), *(" ".join(map(str, line)) for line in program)])

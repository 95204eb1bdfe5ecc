"""How long messages take to another device, which drops them: they are of no run."""

from __future__ import annotations

import time
from collections.abc import Sequence

import grpc
import numpy as np

from tfplus.errors import StepError, UsageError
from tfplus.proto.v1 import tiles_pb2_grpc
from tfplus.tiles.step.messages import Key, Message
from tfplus.tiles.transport.framing import parts_of

MOST_MESSAGES = 64
MOST_BYTES = 1 << 24
_FLOAT = 4
# No run is called so: their ids are hexadecimal digits.
_RUN_ID = "probe"
_TIMEOUT_S = 60.0


def seconds(channel: grpc.Channel, address: str, sizes_bytes: Sequence[int]) -> list[float]:
    """Sends messages one after the other, each as halos are sent, and waits for each answer.

    Args:
      channel: to the other device; the first message also connects.
      address: of it, for errors.
      sizes_bytes: of each message, whole float32 numbers.

    Returns:
      Seconds from each message to its answer.

    Raises:
      StepError: the other device does not answer, or refuses.
      UsageError: there are too many messages, or one is too large.
    """
    largest = max(sizes_bytes, default=0)
    if len(sizes_bytes) > MOST_MESSAGES or largest > MOST_BYTES:
        raise UsageError(
            f"a probe of {len(sizes_bytes)} messages of up to {largest} bytes: expected at most "
            f"{MOST_MESSAGES} of {MOST_BYTES}"
        )
    stub, found = tiles_pb2_grpc.TilesStub(channel), list[float]()
    for size in sizes_bytes:
        message = Message(0, Key("halo", 0, 0), np.zeros(size // _FLOAT, np.float32))
        parts = list(parts_of(_RUN_ID, message))
        began = time.monotonic()
        try:
            stub.Deliver(iter(parts), timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            raise StepError(
                f"{address} does not answer this device: {error.details()}; give addresses at "  # type: ignore[attr-defined]
                "which devices reach each other"
            ) from None
        found.append(time.monotonic() - began)
    return found

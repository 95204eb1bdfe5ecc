"""Two ends of the gossip transport."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from grpc_ends import Receiver, Sender


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[Sender]:
    sender = Sender(receiver.address)
    yield sender
    sender.link.close()

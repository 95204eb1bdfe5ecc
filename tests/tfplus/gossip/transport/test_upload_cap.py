"""What may leave, by a clock of the test's own; and over a real link."""

from __future__ import annotations

import time

import numpy as np
import pytest
from grpc_ends import Receiver, Sender, contribution

from tfplus.errors import UsageError
from tfplus.gossip.transport.protocol import Delivered
from tfplus.gossip.transport.upload_cap import LEAST_BYTES_PER_S, UploadCap


def test_pieces_of_all_links_together_keep_to_the_rate() -> None:
    cap, now = UploadCap(100_000.0), 50.0
    sent = 0
    for size in (10_000, 30_000, 1, 200_000, 60_000):
        now += cap.wait_s(size, now)
        # Whoever sends begins when what came before has had its time.
        assert now == pytest.approx(50.0 + sent / 100_000.0)
        sent += size


def test_idle_time_is_not_saved_up() -> None:
    cap = UploadCap(100_000.0)
    assert cap.wait_s(100_000, 0.0) == 0.0
    assert cap.wait_s(100_000, 1000.0) == 0.0
    assert cap.wait_s(1, 1000.0) == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), LEAST_BYTES_PER_S - 1.0])
def test_a_cap_below_what_neighbours_wait_for_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="at least 50 kB/s"):
        UploadCap(rate)


def test_a_capped_link_takes_as_long_as_its_rate_says(receiver: Receiver) -> None:
    sender = Sender(receiver.address, cap=UploadCap(1e6))
    try:
        began = time.monotonic()
        for round in (1, 2):
            tensor = np.random.default_rng(round).normal(size=50_000).astype(np.float32)
            said = contribution(round, {"shared/k": tensor})
            assert sender.send(said).outcome is Delivered.ACCEPTED
        # The last piece leaves when all before it have had their time, so 0.2 s of 0.4 at least.
        assert time.monotonic() - began >= 0.2
        assert sender.traffic.take()[0] > 400_000
    finally:
        sender.link.close()

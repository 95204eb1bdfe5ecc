from __future__ import annotations

import pytest

from tfplus.fleet.clients.client import SLOWEST_BYTES_PER_S
from tfplus.wire.limits import DEFAULT_LIMITS
from tfplus_agent.server.callers.idle_streams import Pace, Progress

PACE = Pace(first_s=10, idle_s=60, grace_s=30, bytes_per_s=10_000)


def test_a_call_that_sends_nothing_is_waited_for_shortly() -> None:
    assert Progress(PACE).allowance_s() == 10
    assert "nothing came for 10 s" in str(Progress(PACE).too_slow("GetStatus", 10.0))


def test_a_byte_now_and_then_does_not_keep_a_call() -> None:
    progress = Progress(PACE)
    waited_s = 0.0
    for _ in range(100):
        allowed_s = progress.allowance_s()
        wait_s = min(9.0 if not waited_s else 20.0, allowed_s)
        waited_s += wait_s
        if wait_s == allowed_s:
            break
        progress.moved(1, wait_s)
    # A byte every 20 s, until the grace is used up.
    assert waited_s == pytest.approx(30, abs=0.01)
    error = progress.too_slow("UploadModel", wait_s)
    assert "UploadModel: 2 bytes moved while 30" in str(error)
    assert "expected 10000 bytes/s after 30 s" in str(error)


def test_the_slowest_link_that_clients_count_on_is_never_cut_off() -> None:
    progress = Progress(Pace())
    progress.moved(100, 0.1)
    chunk_s = DEFAULT_LIMITS.chunk_bytes / SLOWEST_BYTES_PER_S
    for _ in range(1000):
        assert progress.allowance_s() > chunk_s
        progress.moved(DEFAULT_LIMITS.chunk_bytes, chunk_s)


def test_what_was_sent_fast_buys_no_long_silence() -> None:
    progress = Progress(PACE)
    progress.moved(1 << 30, 1.0)
    assert progress.allowance_s() == 60


def test_a_stream_that_began_elsewhere_has_its_grace_at_once() -> None:
    assert Progress(PACE, started=True).allowance_s() == 30

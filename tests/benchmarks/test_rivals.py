"""The benchmark beside other systems: what it counts, what it calls equal, one small averaging."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rivals import loopback, summary
from rivals.peers import driven
from rivals.systems import WAYS
from rivals.trial import Averaging, Setup, agreed_at, spread_of, visit

TABLE = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets
    lo:  123456     789    0    0    0     0          0         0   123456     789
  eth0: 9999999    1000    0    0    0     0          0         0  8888888     999
"""


def test_bytes_of_loopback_alone_are_counted() -> None:
    assert loopback.bytes_so_far(TABLE) == 123456
    with pytest.raises(SystemExit, match="no loopback"):
        loopback.bytes_so_far(TABLE.replace("lo:", "l0:"))


def test_the_error_is_that_of_the_worst_value_and_says_whose_mean_it_is() -> None:
    brought = np.stack([driven.vector(i, 999) for i in range(3)]).astype(np.float64)
    mean = brought.mean(axis=0).astype(np.float32)
    assert driven.error(mean, [0, 1, 2]) < 1e-7
    of_two = brought[:2].mean(axis=0)
    expected = np.abs(mean - of_two).max() / of_two.max()
    assert driven.error(mean, [0, 1]) == pytest.approx(expected)
    mean[500] += 0.01
    assert driven.error(mean, [0, 1, 2]) == pytest.approx(0.01 / brought.mean(axis=0).max(), 1e-3)


def told(round: int, at: float, *sample: float) -> dict[str, Any]:
    return {"round": round, "at": at, "sample": list(sample)}


def test_all_agree_at_the_end_of_the_first_round_in_which_they_have_the_same() -> None:
    first = [told(1, 1.0, 1.0, 2.0), told(2, 3.0, 1.5, 2.0), told(3, 9.0, 1.5, 2.0)]
    second = [told(1, 2.0, 2.0, 2.0), told(2, 4.0, 1.5, 2.0 + 1e-7)]
    assert agreed_at([first, second]) == 4.0
    assert agreed_at([first, second[:1]]) is None
    assert agreed_at([first, [told(2, 4.0, 1.5, 2.1)]]) is None
    assert spread_of([[1.0, 4.0], [1.0, 3.0], [2.0, 3.5]]) == pytest.approx(0.25)


def averaging(way: str = "hivemind", **changes: Any) -> Averaging:
    found: dict[str, Any] = {
        "way": way, "version": "1.2", "killed_s": None, "seconds": 2.0, "agreed_s": 2.0,
        "loopback_bytes": 5_000_000, "cpu_s": 3.0, "stalled": 0, "failed": (), "error": 1e-7,
        "error_of_survivors": 1e-7, "spread": 0.0,
    }  # fmt: skip
    return Averaging(**(found | changes))


def test_the_table_says_who_stalled_and_who_ended_with_another_mean() -> None:
    runs = [averaging(), averaging(seconds=4.0), averaging(seconds=9.0, error=0.2)]
    (row,) = summary.undisturbed(runs).splitlines()[2:]
    assert (
        row
        == "| hivemind 1.2 | 2 of 3 | 4.0 (2.0 to 9.0) | 5 (5 to 5) | 3.0 (3.0 to 3.0) | 2e-01 |"
    )
    lost = averaging(
        killed_s=1.0, seconds=None, agreed_s=None, stalled=2, failed=("a|b\nc",), error=None,
        error_of_survivors=None, spread=0.5,
    )  # fmt: skip
    (row,) = summary.disturbed([lost]).splitlines()[2:]
    assert row.startswith("| hivemind 1.2 | 1.0 | – | – | 5 | 5e-01 | – | – |")
    assert "2 survivors of 1 averagings came to no end; survivors differ; `a/b c`" in row


@pytest.mark.parametrize("name", ["tfplus mesh", "tfplus one-peer-exponential"])
def test_processes_of_tfplus_end_with_the_exact_mean(name: str) -> None:
    setup = Setup(count=4, values=5000, limit_s=60.0, patience_s=30.0)
    found = visit(WAYS[name], setup, times=2)
    assert [run.exact for run in found] == [True, True]
    for run in found:
        assert run.spread is not None
        assert run.spread < 1e-6
        # Each sends 20 kB to three others, or to one a round in as many rounds as are planned.
        assert run.loopback_bytes > 4 * 20_000 * (3 if name == "tfplus mesh" else 2)
        assert run.seconds == run.agreed_s or run.agreed_s is not None
